// SPDX-License-Identifier: GPL-2.0

//! Another kind of layers, which would decide what an inode puts at its end.

struct Mine;

impl vfs::layers::sealed::Sealed for Mine {}
//~^ ERROR module `sealed` is private
