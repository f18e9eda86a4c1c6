// SPDX-License-Identifier: GPL-2.0

//! Layers as archives of container images, in both directions, and the layouts of such images.

pub mod tar;
