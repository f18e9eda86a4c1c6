// SPDX-License-Identifier: GPL-2.0

//! Mount options.

use ondisk::backslash::unescape;
use ondisk::lowerdir::{Lowerdir, LowerdirError, MAX_LAYERS};
use ondisk::mount_data;

/// What a mount option is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    /// A character, with the backslash before it.
    Text(&'a [u8]),
    /// A backslash at the end.
    Dangling,
}

fn tokens(mut text: &[u8]) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    while !text.is_empty() {
        let len = if text[0] == b'\\' { 2 } else { 1 };
        if len > text.len() {
            tokens.push(Token::Dangling);
            break;
        }
        let (token, rest) = text.split_at(len);
        tokens.push(Token::Text(token));
        text = rest;
    }
    tokens
}

/// A layer, and how many colons are before it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Word {
    colons: usize,
    raw: Vec<u8>,
}

fn words(option: &[u8]) -> Result<Vec<Word>, LowerdirError> {
    let mut words = vec![Word::default()];
    let tokens = tokens(option);
    let mut at = 0;
    while at < tokens.len() {
        let colons = tokens[at..]
            .iter()
            .take_while(|&&token| token == Token::Text(b":"))
            .count();
        at += colons;
        match (colons, tokens.get(at)) {
            (3.., _) => return Err(LowerdirError::ColonRun),
            (_, Some(Token::Dangling)) => return Err(LowerdirError::TrailingBackslash),
            (_, None) => return Err(LowerdirError::TrailingColon),
            (0, Some(Token::Text(text))) => words.last_mut().unwrap().raw.extend(*text),
            (colons, Some(Token::Text(text))) => words.push(Word {
                colons,
                raw: text.to_vec(),
            }),
        }
        at += 1;
    }
    Ok(words)
}

/// The layers: the path as given, and whether it is for data.
type Layers = Vec<Result<(Vec<u8>, bool), LowerdirError>>;

fn layers(option: &[u8]) -> Result<Layers, LowerdirError> {
    match option.first() {
        None => return Ok(Vec::new()),
        Some(b':') => return Err(LowerdirError::Append),
        Some(_) => {}
    }
    let words = words(option)?;
    if words.len() > MAX_LAYERS {
        return Err(LowerdirError::TooMany);
    }

    let mut layers = Vec::new();
    let mut data = false;
    for word in words {
        if data && word.colons == 1 {
            layers.push(Err(LowerdirError::RegularAfterData));
            break;
        }
        data = word.colons == 2;
        layers.push(Ok((word.raw, data)));
    }
    Ok(layers)
}

/// Checks `lowerdir`.
pub(crate) fn check_lowerdir(option: &[u8]) {
    let parsed = Lowerdir::parse(option).map(|lowerdir| {
        let layers: Layers = lowerdir
            .layers()
            .map(|layer| layer.map(|layer| (layer.raw.to_vec(), layer.data_only)))
            .collect();
        if layers.iter().all(Result::is_ok) {
            assert_eq!(layers.len(), lowerdir.len());
        }
        assert_eq!(lowerdir.is_empty(), option.is_empty());
        layers
    });
    if let Ok(parsed) = &parsed {
        assert!(parsed.iter().flatten().all(|(raw, _)| !raw.is_empty()));
    }
    assert_eq!(parsed, layers(option));
}

/// Checks the taking out of backslashes.
pub(crate) fn check_unescape(text: &[u8]) {
    let plain: Vec<u8> = tokens(text)
        .into_iter()
        .filter_map(|token| match token {
            Token::Text(text) => text.last().copied(),
            Token::Dangling => None,
        })
        .collect();

    let mut buf = vec![0xee; text.len()];
    assert_eq!(unescape(text, &mut buf), Some(plain.as_slice()));
    if let Some(short) = plain.len().checked_sub(1) {
        assert_eq!(unescape(text, &mut buf[..short]), None);
    }
}

/// Checks the option string of mount(2).
pub(crate) fn check_mount_data(data: &[u8]) {
    let mut options = vec![Vec::new()];
    for token in tokens(data) {
        match token {
            Token::Text(b",") => options.push(Vec::new()),
            Token::Text(text) => options.last_mut().unwrap().extend(text),
            Token::Dangling => options.last_mut().unwrap().push(b'\\'),
        }
    }
    options.retain(|option| !option.is_empty() && option[0] != b'=');

    let parsed: Vec<Vec<u8>> = mount_data::options(data)
        .map(|option| {
            assert!(!option.key.is_empty() && !option.key.contains(&b'='));
            match option.value {
                Some(value) => [option.key, value].join(&b'='),
                None => option.key.to_vec(),
            }
        })
        .collect();
    assert_eq!(parsed, options);
}
