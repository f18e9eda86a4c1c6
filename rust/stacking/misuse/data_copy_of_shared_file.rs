// SPDX-License-Identifier: GPL-2.0

//! A source of a copy whose position others use, too, and one that outlives the mounter's credentials.

use kernel::{
    fs::File,
    prelude::*, //
};
use stacking::{
    copy::DataCopy,
    cred::{
        AsMounter,
        Mounter, //
    },
    path::LayerPath, //
};

fn of_a_file<'a>(m: &'a AsMounter, from: &File, to: &'a File) -> Result<DataCopy<'a>> {
    DataCopy::new(m, from, to)
    //~^ ERROR expected `LayerPath<'_>`, found `&File`
}

fn after_run<'a>(mounter: &Mounter, from: LayerPath<'_>, to: &'a File) -> Result<DataCopy<'a>> {
    mounter.run(|m| DataCopy::new(m, from, to))
    //~^ ERROR lifetime may not live long enough
}
