//! How documents are stored. Stored format: version with care.
//!
//! What is of one stream is stored with the version of the stream that it was folded up to, so that no event takes effect on it twice,
//! whoever brings it: a subscription, a rebuild, or the commit of the event itself. It is kept when there is no document, for the same
//! reason.

use serde::{Deserialize, Serialize};
use uno_core::{Payload, Refusal, Version};

use crate::DocumentProjection;

/// What is stored of one stream.
#[derive(Serialize, Deserialize)]
struct OfStream<D> {
    version: Version,
    document: Option<D>,
}

/// A document as it is kept.
pub(crate) struct Kept<D> {
    /// `None`: what is stored says that there is none.
    pub(crate) document: Option<D>,
    /// The version of its stream that it was folded up to, if it is of one.
    pub(crate) version: Version,
}

/// What is to be stored; `None` if nothing is, since there is no document.
pub(crate) fn encode<P: DocumentProjection>(
    document: Option<&P::Document>,
    version: Version,
) -> Result<Option<Payload>, Refusal> {
    if P::OF_STREAMS.is_some() {
        return Payload::encode(&OfStream { version, document }).map(Some);
    }
    document.map(Payload::encode).transpose()
}

/// What is stored.
pub(crate) fn decode<P: DocumentProjection>(
    body: &Payload,
) -> Result<Kept<P::Document>, serde_json::Error> {
    if P::OF_STREAMS.is_some() {
        let OfStream { version, document } = serde_json::from_str(body.as_str())?;
        return Ok(Kept { document, version });
    }
    Ok(Kept {
        document: Some(serde_json::from_str(body.as_str())?),
        version: Version::EMPTY,
    })
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use uno_core::Event;

    use super::*;
    use crate::{Fact, StreamProjection};

    #[derive(Event, Serialize, Deserialize)]
    struct Counted {}

    #[derive(Debug)]
    struct Counts;

    impl StreamProjection for Counts {
        const NAME: &'static str = "counts";
        const CATEGORY: &'static str = "counter";
        type Event = Counted;
        type Document = u32;

        fn fold(&self, count: Option<u32>, _: &Fact<'_, Counted>) -> Option<u32> {
            Some(count.unwrap_or_default() + 1)
        }
    }

    #[test]
    fn the_stored_shape() {
        for (document, stored) in [
            (Some(5), r#"{"version":7,"document":5}"#),
            (None, r#"{"version":7,"document":null}"#),
        ] {
            let version = Version::new(7).unwrap();
            let body = encode::<Counts>(document.as_ref(), version)
                .unwrap()
                .unwrap();
            assert_eq!(body.as_str(), stored);
            let kept = decode::<Counts>(&body).unwrap();
            assert_eq!((kept.document, kept.version), (document, version));
        }
    }
}
