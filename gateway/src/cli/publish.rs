//! `brizo publish`: an asset's document made, sealed, stored and registered.

use std::path::{Path, PathBuf};

use alloy_primitives::U256;
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::duration;
use super::failure::{Exit, Failure};
use super::register::register;
use super::say::Say;
use super::site::Site;
use crate::assets::ContainerRequest;
use crate::assets::document::{Change, Draft, DraftFile, DraftKind, PrivacyDraft, Terms, registered_url};
use crate::assets::publisher::Publisher;
use crate::chain::contracts::{ACCESS_TEMPLATE, COMPUTE_TEMPLATE};
use crate::keys;
use crate::types::{Did, show_address};

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AssetKind {
    /// Data, to be computed on
    Dataset,
    /// A program, to be run beside others' data
    Algorithm,
}

/// What to publish, and on which terms.
#[derive(Debug, Clone, Args)]
pub(crate) struct PublishArgs {
    /// The asset's files: paths under one of assets.roots, or URLs. An algorithm has one
    #[arg(value_name = "FILE", required_unless_present = "update")]
    pub files: Vec<String>,
    /// What an agreement costs, in the token's smallest unit
    #[arg(long, value_name = "N", value_parser = price, required_unless_present = "update")]
    pub price: Option<U256>,
    /// Let consumers run code of their own: they may carry any of the data away in their outputs
    #[arg(long)]
    pub allow_raw: bool,
    /// Let consumers run this published algorithm (may be repeated)
    #[arg(long, value_name = "DID", value_parser = did)]
    pub trust: Vec<Did>,
    /// Trust those algorithms only as they are now: pin the SHA-256 of their file and of their container section
    #[arg(long, requires = "trust")]
    pub pin: bool,
    /// Let algorithms have the network
    #[arg(long)]
    pub allow_network: bool,
    /// What it is
    #[arg(long = "type", value_enum, default_value_t = AssetKind::Dataset, value_name = "TYPE")]
    pub kind: AssetKind,
    /// The image that an algorithm runs in, with its tag, such as python:3.11
    #[arg(long, value_name = "IMAGE:TAG")]
    pub image: Option<String>,
    /// The digest that the image must have: sha256:<64 hex>
    #[arg(long, value_name = "DIGEST", requires = "image")]
    pub image_checksum: Option<String>,
    /// The command that runs an algorithm, such as 'python3 $ALGO'
    #[arg(long, value_name = "COMMAND", requires = "image")]
    pub entrypoint: Option<String>,
    /// Its name [default: that of the first file]
    #[arg(long)]
    pub name: Option<String>,
    /// A description
    #[arg(long)]
    pub description: Option<String>,
    /// Who made it [default: the publisher's address]
    #[arg(long)]
    pub author: Option<String>,
    /// Under which licence [default: No License Specified]
    #[arg(long)]
    pub license: Option<String>,
    /// How long an agreement is good for; 0s for ever [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<SignedDuration>,
    /// Publish a new version of this asset: what is not given stays as it is
    #[arg(long, value_name = "DID", value_parser = did)]
    pub update: Option<Did>,
    /// With --update: register the asset's URL on chain anew, after server.public_url has changed
    #[arg(long, requires = "update")]
    pub register: bool,
    /// The publisher's private key: 64 hex digits or a keystore [default: that of the configuration]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The password of a keystore
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub password_file: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

fn price(text: &str) -> Result<U256, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| U256::from_str_radix(text, 10).ok()).flatten().ok_or_else(|| {
        "a price is a whole number in the token's smallest unit, written as digits without point or exponent".to_owned()
    })
}

fn did(text: &str) -> Result<Did, String> {
    text.parse().map_err(|error: crate::types::ParseError| error.to_string())
}

impl PublishArgs {
    fn signer(&self, site: &Site) -> Result<PrivateKeySigner, Failure> {
        match &self.key_file {
            Some(file) => {
                keys::load(file, self.password_file.as_deref()).map_err(|error| Failure::usage(error.to_string()))
            }
            None => Ok(site.provider.signer()?),
        }
    }

    fn chooses_privacy(&self) -> bool {
        self.allow_raw || !self.trust.is_empty()
    }

    /// What contradicts itself, or leaves the choice open that nobody else can make.
    fn check(&self) -> Result<(), Failure> {
        let is_algorithm = self.kind == AssetKind::Algorithm;
        if self.update.is_none() && !is_algorithm && !self.chooses_privacy() {
            return Err(Failure::usage("Say who may run code on this data: nothing is assumed.").next(
                "--allow-raw lets every buyer run code of his own, which can copy the data into its outputs; \
                 --trust DID admits only published algorithms that you have read (with --pin as they are now)",
            ));
        }
        if is_algorithm && self.update.is_none() {
            if self.image.is_none() || self.entrypoint.is_none() {
                return Err(Failure::usage("An algorithm says what it runs in.")
                    .next("add --image python:3.11 --entrypoint 'python3 $ALGO', as it fits"));
            }
            if self.files.len() != 1 {
                return Err(Failure::usage("An algorithm has one file."));
            }
        }
        if is_algorithm && (self.chooses_privacy() || self.allow_network) {
            return Err(Failure::usage("--allow-raw, --trust and --allow-network are a dataset's."));
        }
        if !is_algorithm && self.image.is_some() && self.update.is_none() {
            return Err(Failure::usage("--image is an algorithm's; add --type algorithm."));
        }
        if self.allow_network && !self.chooses_privacy() {
            return Err(Failure::usage("--allow-network goes with --allow-raw or --trust: they are stated together."));
        }
        Ok(())
    }

    fn container(&self) -> Result<Option<ContainerRequest>, Failure> {
        let (Some(image), Some(entrypoint)) = (&self.image, &self.entrypoint) else {
            return match &self.image {
                None => Ok(None),
                Some(_) => Err(Failure::usage("--image goes with --entrypoint.")),
            };
        };
        let Some((name, tag)) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) else {
            return Err(Failure::usage(format!("{image:?} has no tag; write it as IMAGE:TAG, such as python:3.11.")));
        };
        let container = ContainerRequest {
            image: name.to_owned(),
            tag: tag.to_owned(),
            checksum: self.image_checksum.clone(),
            entrypoint: entrypoint.clone(),
        };
        container.check("").map_err(|problem| Failure::usage(problem.to_string()))?;
        Ok(Some(container))
    }

    async fn privacy(&self, publisher: &Publisher) -> Result<PrivacyDraft, Failure> {
        let mut trusted = Vec::with_capacity(self.trust.len());
        for did in &self.trust {
            trusted.push(publisher.trust(*did, self.pin).await?);
        }
        Ok(PrivacyDraft { allow_raw: self.allow_raw, allow_network: self.allow_network, trusted })
    }

    fn timeout_s(&self) -> Option<u64> {
        self.timeout.map(|timeout| timeout.as_secs().unsigned_abs())
    }
}

/// Publishes an asset, or a new version of one, and registers its DID.
pub(crate) async fn publish(args: &PublishArgs, site: &Site, say: &Say) -> Result<Exit, Failure> {
    args.check()?;
    let signer = args.signer(site)?;
    site.check_listed(signer.address())?;
    let container = args.container()?;
    let publisher = site.publisher(signer.clone()).await?;
    let is_algorithm = container.is_some() || args.kind == AssetKind::Algorithm;
    let files =
        args.files.iter().map(|what| publisher.file(what, is_algorithm)).collect::<Result<Vec<DraftFile>, _>>()?;
    let (did, version) = match args.update {
        None => {
            say.step("Sealing and storing the document");
            let draft = draft(args, site, &signer, &publisher, container, files).await?;
            (publisher.create(&draft).await?, 1)
        }
        Some(did) => {
            let change = change(args, &publisher, container).await?;
            match change {
                None if files.is_empty() => (did, publisher.version(&did).await?),
                change => {
                    say.step("Storing a new version of the document");
                    (did, publisher.update(&did, &change.unwrap_or_default(), &files).await?)
                }
            }
        }
    };
    say.step("Registering the DID on chain");
    let url = registered_url(site.public_url.as_str(), &did);
    let provider = site.provider.address()?;
    let sent = register(&site.chain, &signer, &did, provider, &url, args.register).await.map_err(|failure| {
        let stored = format!("the document is stored; register it with `brizo publish --update {did}`");
        let next = failure.next.as_ref().map_or_else(|| stored.clone(), |first| format!("{first}; {stored}"));
        failure.next(next)
    })?;
    let value = json!({
        "did": did.to_string(),
        "version": version,
        "publisher": show_address(&signer.address()),
        "url": url,
        "registered_now": sent,
    });
    say.done(&format!("Version {version} of the document is at {url}"));
    say.result(&did.to_string(), &value)?;
    Ok(Exit::Done)
}

async fn draft(
    args: &PublishArgs,
    site: &Site,
    signer: &PrivateKeySigner,
    publisher: &Publisher,
    container: Option<ContainerRequest>,
    files: Vec<DraftFile>,
) -> Result<Draft, Failure> {
    let contracts = site.chain.contracts();
    let named = args.files.first().map(Path::new).and_then(Path::file_name);
    let kind = match container {
        Some(container) => DraftKind::Algorithm(container),
        None => DraftKind::Dataset(args.privacy(publisher).await?),
    };
    Ok(Draft {
        kind,
        name: args.name.clone().or_else(|| Some(named?.to_string_lossy().into_owned())).unwrap_or_default(),
        description: args.description.clone().unwrap_or_default(),
        author: args.author.clone().unwrap_or_else(|| show_address(&signer.address())),
        license: args.license.clone().unwrap_or_else(|| "No License Specified".to_owned()),
        price: args.price.unwrap_or_default(),
        timeout_s: args.timeout_s().unwrap_or(86_400),
        files,
        created: Timestamp::now(),
        public_url: site.public_url.as_str().trim_end_matches('/').to_owned(),
        terms: Terms {
            compute_template: COMPUTE_TEMPLATE,
            access_template: ACCESS_TEMPLATE,
            escrow_reward: contracts.escrow_reward,
            lock_reward: contracts.lock_reward,
            compute: contracts.compute,
            access: contracts.access,
        },
    })
}

/// What is to be changed, if anything.
async fn change(
    args: &PublishArgs,
    publisher: &Publisher,
    container: Option<ContainerRequest>,
) -> Result<Option<Change>, Failure> {
    let main: Vec<(&str, String)> = [("name", &args.name), ("author", &args.author), ("license", &args.license)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)))
        .collect();
    let privacy = if args.chooses_privacy() { Some(args.privacy(publisher).await?) } else { None };
    let change = Change {
        price: args.price,
        timeout_s: args.timeout_s(),
        privacy,
        container,
        main,
        description: args.description.clone(),
    };
    Ok((change != Change::default()).then_some(change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        publish: PublishArgs,
    }

    fn args(line: &str) -> Result<PublishArgs, String> {
        let words = ["publish"].into_iter().chain(line.split(' '));
        Line::try_parse_from(words).map(|line| line.publish).map_err(|error| error.to_string())
    }

    #[test]
    fn nobody_publishes_data_without_saying_who_may_run_code_on_it() {
        let failure = args("table.csv --price 10").unwrap().check().unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let next = failure.next.unwrap();
        assert!(next.contains("--allow-raw") && next.contains("--trust DID"), "{next}");
        let did = "did:op:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert!(args("table.csv --price 10 --allow-raw").unwrap().check().is_ok());
        assert!(args(&format!("table.csv --price 10 --trust {did} --pin")).unwrap().check().is_ok());
        assert!(args(&format!("--update {did} --price 12")).unwrap().check().is_ok());
    }

    #[test]
    fn a_price_is_whole_digits() {
        let large = args("a --price 2700000000000000000000000001 --allow-raw").unwrap();
        assert_eq!(large.price.unwrap().to_string(), "2700000000000000000000000001");
        for wrong in ["2.7e27", "-1", "1.0", "0x10", "1_000"] {
            assert!(args(&format!("a --price={wrong} --allow-raw")).unwrap_err().contains("whole number"), "{wrong}");
        }
        assert!(args("a --allow-raw").is_err(), "a price is demanded");
    }

    #[test]
    fn an_algorithm_says_what_it_runs_in() {
        assert!(args("a.py --price 0 --type algorithm").unwrap().check().is_err());
        let mut right = args("a.py --price 0 --type algorithm --image localhost:5000/python:3.11").unwrap();
        right.entrypoint = Some("python3 $ALGO".into());
        right.check().unwrap();
        let container = right.container().unwrap().unwrap();
        assert_eq!((container.image.as_str(), container.tag.as_str()), ("localhost:5000/python", "3.11"));
        right.image = Some("localhost:5000/python".into());
        assert!(right.container().unwrap_err().message.contains("no tag"));
        right.allow_raw = true;
        assert!(right.check().is_err());
    }
}
