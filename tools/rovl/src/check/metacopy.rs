// SPDX-License-Identifier: GPL-2.0

//! Files without data, and the data that they say they have.

use super::finding::Findings;
use super::kind::Kind;
use super::subject::Subject;
use crate::layer::{Entry, Result};
use crate::show::name;
use crate::sys::measure_verity;
use ondisk::metacopy::{check_len, Metacopy, MAX_LEN};
use ondisk::redirect::Redirect;
use ondisk::{Fault, Name};

/// Looks at a regular file.
pub fn check(subject: &Subject<'_>, out: &mut Findings) -> Result<()> {
    let entry = subject.entry;
    let Some(value) = entry.overlay_xattr(Name::Metacopy)? else {
        return Ok(());
    };
    if let Err(fault) = check_len(value.len()) {
        let sentence = format!(
            "The attribute metacopy has {} bytes, and so the file cannot be looked up (EIO): {}.",
            value.len(),
            fault.message()
        );
        let steps = vec![subject.set(Name::Metacopy, b"")];
        let text = "take its data from the layers below, without a digest";
        subject.repair(out, (Kind::MetacopyLength, sentence), text, steps);
        return Ok(());
    }
    if let Some(Err(fault)) = entry
        .overlay_xattr(Name::Redirect)?
        .map(|v| Redirect::parse(&v).map(|_| ()))
    {
        let sentence = format!(
            "The redirect to its data cannot be followed, and so the file cannot be looked up: {}. Set the \
             attribute redirect to where the data is, or remove the file.",
            fault.message()
        );
        subject.report(out, Kind::InvalidRedirect, sentence);
        return Ok(());
    }
    let data = match subject.node {
        Ok(Some(node)) => subject.stack.data_entry(node),
        Ok(None) => return Ok(()),
        Err(error) => {
            no_data(subject, error, out);
            return Ok(());
        }
    };
    match data {
        Err(error) => no_data(subject, &error, out),
        Ok(data) => {
            size(subject, &data, out);
            digest(subject, &value, &data, out)?;
        }
    }
    Ok(())
}

fn no_data(subject: &Subject<'_>, error: &crate::layer::Error, out: &mut Findings) {
    let sentence = format!(
        "Its data is in no layer ({error}). Name the layer that has it, or remove the file."
    );
    subject.report(out, Kind::MetacopyNoData, sentence);
}

fn size(subject: &Subject<'_>, data: &Entry, out: &mut Findings) {
    let (size, real) = (subject.entry.stat().size, data.stat().size);
    if size == real {
        return;
    }
    let sentence = format!(
        "Its size is {size} bytes, and its data, {}, has {real}.",
        name(&data.shown())
    );
    let steps = vec![super::repair::Step::Resize(subject.target(), real)];
    subject.repair(
        out,
        (Kind::MetacopySize, sentence),
        "set the size to that of the data",
        steps,
    );
}

fn digest(subject: &Subject<'_>, value: &[u8], data: &Entry, out: &mut Findings) -> Result<()> {
    let measure = || -> Result<Option<(u8, Vec<u8>)>> {
        let file = data.open_data()?;
        measure_verity(&file).map_err(|errno| data.error("measure its fs-verity digest", errno))
    };
    let metacopy = match Metacopy::parse(value) {
        Ok(metacopy) => metacopy,
        Err(fault) => {
            let sentence = format!(
                "The attribute metacopy cannot be read, and so the file cannot be opened with verity=on: {}.",
                fault.message()
            );
            let made = measure()?
                .and_then(|(algorithm, digest)| Metacopy::with_digest(algorithm, &digest).ok());
            let mut buf = [0; MAX_LEN];
            let (value, text) = match &made {
                Some(made) => (made.encode(&mut buf), "write the digest that the data has"),
                None => (b"".as_slice(), "leave out the digest, as the data has none"),
            };
            let steps = vec![subject.set(Name::Metacopy, value)];
            subject.repair(out, (Kind::MetacopyFormat, sentence), text, steps);
            return Ok(());
        }
    };
    let Some((algorithm, digest)) = metacopy.digest() else {
        return Ok(());
    };
    let shown = name(&data.shown()).to_string();
    match measure()? {
        Some((measured, bytes)) if measured == algorithm && bytes == digest => {}
        Some(_) => {
            let sentence = format!(
                "Its data, {shown}, has another fs-verity digest than it says: it is not the data that was \
                 copied up. Put back the file that was there."
            );
            subject.report(out, Kind::DigestMismatch, sentence);
        }
        None => {
            let sentence = format!(
                "Its data, {shown}, is not protected by fs-verity, although it says a digest: with verity=on it \
                 cannot be opened."
            );
            subject.report(out, Kind::DigestUnprotected, sentence);
        }
    }
    Ok(())
}
