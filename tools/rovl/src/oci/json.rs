// SPDX-License-Identifier: GPL-2.0

//! The JSON documents of image layouts. What is not looked at is kept as it is.

use super::Digest;
use anyhow::{bail, Context, Result};
use serde_json::{json, Map, Value};

/// The types of documents and layers.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Where the tag of an image stands.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The longest document that is read, as in other tools.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// What a document says of another one, or of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its digest, which is its name.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

impl Descriptor {
    /// The descriptor of a document.
    pub fn of(document: &[u8]) -> Self {
        Self {
            digest: Digest::of(document),
            size: document.len() as u64,
        }
    }

    fn value(&self, kind: &str) -> Value {
        json!({ "mediaType": kind, "digest": self.digest.to_string(), "size": self.size })
    }

    /// Reads a descriptor of something of the type `kind`.
    fn parse(value: &Value, kind: &str) -> Result<Self> {
        let found = value
            .get("mediaType")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if found != kind {
            bail!("its type is {found:?} and not {kind:?}");
        }
        let digest = value.get("digest").and_then(Value::as_str);
        let digest = digest
            .and_then(Digest::parse)
            .context("its digest is not one of sha256")?;
        let size = value
            .get("size")
            .and_then(Value::as_u64)
            .context("its size is missing")?;
        Ok(Self { digest, size })
    }
}

fn parse(text: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(text)? {
        Value::Object(object) => Ok(object),
        _ => bail!("it is no object"),
    }
}

/// A list in a document; it is made if it is not there.
fn list<'a>(object: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>> {
    let value = object.entry(key).or_insert_with(|| json!([]));
    value
        .as_array_mut()
        .with_context(|| format!("{key} is no list"))
}

/// The list of the images in a layout.
#[derive(Clone, Debug)]
pub struct Index(Map<String, Value>);

impl Index {
    /// One without images.
    pub fn empty() -> Self {
        let mut object = Map::new();
        object.insert("schemaVersion".into(), json!(2));
        object.insert("mediaType".into(), json!(INDEX));
        object.insert("manifests".into(), json!([]));
        Self(object)
    }

    /// Reads one.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut object = parse(text)?;
        list(&mut object, "manifests")?;
        Ok(Self(object))
    }

    fn has_tag(value: &Value, tag: &str) -> bool {
        let name = value.get("annotations").and_then(|all| all.get(REF_NAME));
        name.and_then(Value::as_str) == Some(tag)
    }

    /// The image that has a tag.
    pub fn find(&self, tag: &str) -> Result<Option<Descriptor>> {
        let all = self.0.get("manifests").and_then(Value::as_array);
        let found = all
            .into_iter()
            .flatten()
            .find(|value| Self::has_tag(value, tag));
        found
            .map(|value| Descriptor::parse(value, MANIFEST))
            .transpose()
    }

    /// Gives an image a tag, which another one loses that had it.
    pub fn set(&mut self, tag: &str, image: &Descriptor) -> Result<()> {
        let all = list(&mut self.0, "manifests")?;
        all.retain(|value| !Self::has_tag(value, tag));
        let mut value = image.value(MANIFEST);
        if let Some(object) = value.as_object_mut() {
            object.insert("annotations".into(), json!({ REF_NAME: tag }));
        }
        all.push(value);
        Ok(())
    }

    /// The document.
    pub fn to_bytes(&self) -> Vec<u8> {
        Value::Object(self.0.clone()).to_string().into_bytes()
    }
}

/// An image: its manifest and its configuration.
#[derive(Clone, Debug)]
pub struct Image {
    manifest: Map<String, Value>,
    config: Map<String, Value>,
}

impl Image {
    /// One without layers, for the machine that this runs on.
    pub fn empty() -> Self {
        let (mut manifest, mut config) = (Map::new(), Map::new());
        manifest.insert("schemaVersion".into(), json!(2));
        manifest.insert("mediaType".into(), json!(MANIFEST));
        config.insert("architecture".into(), json!(architecture()));
        config.insert("os".into(), json!("linux"));
        Self { manifest, config }
    }

    /// Where the configuration of the image with this manifest is.
    pub fn config_of(manifest: &[u8]) -> Result<Descriptor> {
        let manifest = parse(manifest)?;
        let config = manifest
            .get("config")
            .context("the configuration is missing")?;
        Descriptor::parse(config, CONFIG).context("the configuration")
    }

    /// Reads the documents of an image.
    pub fn parse(manifest: &[u8], config: &[u8]) -> Result<Self> {
        Ok(Self {
            manifest: parse(manifest).context("the manifest")?,
            config: parse(config).context("the configuration")?,
        })
    }

    /// Adds a layer: how it is stored with what its type has at its end, the digest of the archive, and the
    /// time that it was made.
    pub fn push(
        &mut self,
        layer: &Descriptor,
        suffix: &str,
        archive: &Digest,
        created: &str,
    ) -> Result<()> {
        let kind = format!("{LAYER}{suffix}");
        list(&mut self.manifest, "layers")?.push(layer.value(&kind));
        let files = self
            .config
            .entry("rootfs")
            .or_insert_with(|| json!({ "type": "layers" }));
        let files = files.as_object_mut().context("rootfs is no object")?;
        list(files, "diff_ids")?.push(json!(archive.to_string()));
        let step = json!({ "created": created, "created_by": "rovl commit" });
        list(&mut self.config, "history")?.push(step);
        self.config.insert("created".into(), json!(created));
        Ok(())
    }

    /// The documents: the manifest, which has the digest of the configuration in it, and this.
    pub fn to_bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let config = Value::Object(self.config.clone()).to_string().into_bytes();
        let mut manifest = self.manifest.clone();
        manifest.insert("config".into(), Descriptor::of(&config).value(CONFIG));
        (Value::Object(manifest).to_string().into_bytes(), config)
    }
}

/// What images call this machine's processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// A time in the way of RFC 3339.
pub fn time(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since the first of March of the year 0, in eras of 400 years.
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era.saturating_mul(400) + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(time(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59Z");
        assert!(!time(i64::MAX).is_empty() && !time(i64::MIN).is_empty());
    }

    #[test]
    fn tags() {
        let mut index = Index::empty();
        let (one, two) = (Descriptor::of(b"one"), Descriptor::of(b"two"));
        index.set("a", &one).unwrap();
        index.set("b", &two).unwrap();
        index.set("a", &two).unwrap();
        let index = Index::parse(&index.to_bytes()).unwrap();
        assert_eq!(index.find("a").unwrap(), Some(two));
        assert_eq!(index.find("c").unwrap(), None);
        assert_eq!(index.0["manifests"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let text = br#"{"manifests":[{"mediaType":"x","digest":"y"}],"annotations":{"k":"v"}}"#;
        let mut index = Index::parse(text).unwrap();
        index.set("t", &Descriptor::of(b"")).unwrap();
        assert_eq!(index.0["annotations"]["k"], "v");
        assert_eq!(index.0["manifests"][0]["digest"], "y");
    }

    #[test]
    fn wrong_documents() {
        for text in ["", "[]", "{\"manifests\":1}", "{\"manifests\":[]"] {
            assert!(Index::parse(text.as_bytes()).is_err(), "{text}");
        }
        let image = |kind: &str, digest: &str| {
            let text = json!({ "manifests": [{ "mediaType": kind, "digest": digest, "size": 1,
                "annotations": { REF_NAME: "t" } }] });
            Index::parse(text.to_string().as_bytes()).unwrap().find("t")
        };
        assert!(image(INDEX, &Digest::of(b"").to_string()).is_err());
        assert!(image(MANIFEST, "sha256:../../x").is_err());
        assert!(image(MANIFEST, &Digest::of(b"").to_string()).is_ok());
        assert!(Image::config_of(b"{}").is_err());
        let mut image = Image::parse(b"{\"layers\":{}}", b"{}").unwrap();
        assert!(image
            .push(&Descriptor::of(b""), "", &Digest::of(b""), "")
            .is_err());
    }

    #[test]
    fn layers_add_up() {
        let mut image = Image::empty();
        for _ in 0..2 {
            image
                .push(&Descriptor::of(b"l"), "+zstd", &Digest::of(b"a"), "now")
                .unwrap();
        }
        let (manifest, config) = image.to_bytes();
        assert_eq!(
            Image::config_of(&manifest).unwrap(),
            Descriptor::of(&config)
        );
        let again = Image::parse(&manifest, &config).unwrap();
        assert_eq!(again.manifest["layers"].as_array().unwrap().len(), 2);
        assert_eq!(
            again.manifest["layers"][0]["mediaType"],
            format!("{LAYER}+zstd")
        );
        assert_eq!(
            again.config["rootfs"]["diff_ids"][1],
            Digest::of(b"a").to_string()
        );
    }
}
