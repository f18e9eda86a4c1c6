// SPDX-License-Identifier: GPL-2.0
//! Security: SELinux, AppArmor and IMA (`make security`), known vulnerabilities, and what Linux 7.3.3 and 7.3.4 fixed
//! (Documentation/security.rst).

mod apparmor;
mod cve_credentials;
mod cve_lifetime;
mod fixes_7_3;
mod fixes_7_3_between;
mod fixes_7_3_races;
mod fixes_7_3_selinux;
mod fixes_backing;
mod ima;
mod selinux;
mod selinux_decisions;
mod steps;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    selinux::CASES,
    selinux_decisions::CASES,
    apparmor::CASES,
    ima::CASES,
    cve_credentials::CASES,
    cve_lifetime::CASES,
    fixes_7_3::CASES,
    fixes_7_3_between::CASES,
    fixes_7_3_races::CASES,
    fixes_7_3_selinux::CASES,
    fixes_backing::CASES,
];
