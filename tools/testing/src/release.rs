// SPDX-License-Identifier: GPL-2.0
//! The release of the kernel that runs, for what an older one does not do right.

use crate::skip;

/// Ends the test as ignored in a kernel before `needed`, as `"7.3.4"`, because of what is `wrong` there.
pub fn needs_release(needed: &str, wrong: &str) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    if numbers(&release) < numbers(needed) {
        skip(format!("kernel {release} is before {needed}: {wrong}"));
    }
}

/// The numbers that a release begins with: three of them, of which missing ones are zero.
fn numbers(release: &str) -> [u32; 3] {
    let end = release
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(release.len());
    let mut parts = release[..end]
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert_eq!(numbers("7.3.4+deb13-amd64"), [7, 3, 4]);
        assert_eq!(numbers("7.3-rc7-amd64"), [7, 3, 0]);
        assert_eq!(numbers("7.3-amd64"), [7, 3, 0]);
        assert!(numbers("7.2.13+deb14-amd64") < numbers("7.3.4"));
        assert!(numbers("7.10.0") > numbers("7.3.4"));
    }
}
