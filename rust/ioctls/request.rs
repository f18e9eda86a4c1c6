// SPDX-License-Identifier: GPL-2.0

//! Numbers of requests.
//!
//! A number does not tell the size of the structure, which grows: in its place it has that of
//! [`Head`], with which each structure begins.

use crate::Head;

/// The type of the requests (`_IOC_TYPE`). The numbers 0x00 to 0x3f of it are ours.
pub const TYPE: u8 = 0xf7;

/// Gives the counters of the mount: [`Stats`](crate::stats::Stats).
pub const GET_STATS: u32 = number(0x00);
/// Tells which layers an object is made of: [`Layer`](crate::layer::Layer).
pub const GET_LAYER: u32 = number(0x01);
/// Gives the file handle that an object has in one of its layers: [`Handle`](crate::handle::Handle).
pub const GET_HANDLE: u32 = number(0x02);
/// Tells of one layer: [`StackEntry`](crate::stack::StackEntry).
pub const GET_STACK: u32 = number(0x03);
/// Makes the upper layer a checkpoint: [`Checkpoint`](crate::stack::Checkpoint).
pub const CHECKPOINT: u32 = number(0x20);
/// Goes back to a checkpoint: [`Rollback`](crate::stack::Rollback).
pub const ROLLBACK: u32 = number(0x21);
/// Puts a layer below the upper one: [`Push`](crate::stack::Push).
pub const PUSH: u32 = number(0x22);
/// Takes a layer away: [`Drop`](crate::stack::Drop).
pub const DROP: u32 = number(0x23);

/// `_IOWR(TYPE, number, __u8[8])`
const fn number(number: u8) -> u32 {
    // CAST: these are wider; there is no `From` in constants.
    (3 << 30) | ((Head::LEN as u32) << 16) | ((TYPE as u32) << 8) | number as u32
}
