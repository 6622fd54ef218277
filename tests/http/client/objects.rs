use std::time::Duration;

use bytes::Bytes;
use carousel::supabase::{BadFile, Error};
use futures::TryStreamExt;
use futures::stream;
use uuid::Uuid;

use super::project;
use crate::deployment::{Deployment, picture};

fn pieces(bytes: &[u8]) -> stream::Iter<std::vec::IntoIter<Result<Bytes, std::io::Error>>> {
    let pieces: Vec<_> = bytes.chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

#[tokio::test]
async fn an_object_goes_up_and_comes_down_byte_for_byte() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let bytes = picture();
    for length in [Some(bytes.len() as u64), None] {
        let path = format!("{}/sources/a b {}.png", anna.id, Uuid::new_v4());
        caller.upload(&path, "image/png", length, pieces(&bytes)).await.unwrap();
        let download = caller.download(&path).await.unwrap();
        assert_eq!(download.mime.as_deref(), Some("image/png"));
        let down: Vec<Bytes> = download.stream().try_collect().await.unwrap();
        assert_eq!(down.concat(), bytes);
        let again = caller.upload(&path, "image/png", length, pieces(&bytes)).await;
        assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");

        let paths = [path.clone(), format!("{}/sources/none.png", anna.id)];
        let [Some(address), None] = &caller.sign(&paths, Duration::from_secs(60)).await.unwrap()[..] else {
            panic!("one is there and the other is not")
        };
        assert_eq!(deployment.http.get(address.clone()).send().await.unwrap().bytes().await.unwrap(), bytes);
        assert_eq!(caller.remove(std::slice::from_ref(&path)).await.unwrap(), [path.as_str()]);
        assert!(matches!(caller.download(&path).await, Err(Error::NotFound)));
    }
}

#[tokio::test]
async fn more_paths_than_storage_takes_at_once_are_signed_in_their_order() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let mut paths: Vec<_> = (0..2_000).map(|number| format!("{}/sources/{number}.png", anna.id)).collect();
    paths.push(anna.photo().await);
    let signed = caller.sign(&paths, Duration::from_secs(60)).await.unwrap();
    let (last, others) = signed.split_last().unwrap();
    assert!(last.is_some() && others.len() == 2_000 && others.iter().all(Option::is_none));
    assert_eq!(caller.sign(&[], Duration::from_secs(60)).await.unwrap(), []);
}

#[tokio::test]
async fn nobody_reaches_into_another_folder() {
    let deployment = Deployment::new().await;
    let (anna, bert) = (deployment.person().await, deployment.person().await);
    let project = project(&deployment);
    let as_bert = project.person(&bert.token).unwrap();
    let hers = anna.photo().await;
    assert!(matches!(as_bert.download(&hers).await, Err(Error::NotFound)));
    assert_eq!(as_bert.sign(std::slice::from_ref(&hers), Duration::from_secs(60)).await.unwrap(), [None]);
    assert_eq!(as_bert.remove(std::slice::from_ref(&hers)).await.unwrap(), [] as [String; 0]);
    let into = format!("{}/sources/{}.png", anna.id, Uuid::new_v4());
    assert!(matches!(as_bert.upload(&into, "image/png", None, pieces(&picture())).await, Err(Error::Forbidden { .. })));
    let generated = format!("{}/jobs/{}.png", bert.id, Uuid::new_v4());
    assert!(matches!(
        as_bert.upload(&generated, "image/png", None, pieces(&picture())).await,
        Err(Error::Forbidden { .. })
    ));
    for path in [format!("{}/sources/../../{hers}", bert.id), format!("{}//x.png", bert.id), "%2e%2e/x".to_owned()] {
        assert!(matches!(as_bert.download(&path).await, Err(Error::BadFile(BadFile::InvalidPath { .. }))), "{path}");
    }
    anna.download(&hers).await;
    let forged = project.person("eyJhbGciOiJFUzI1NiJ9.e30.c2ln").unwrap();
    assert!(matches!(forged.download(&hers).await, Err(Error::Unauthorized { .. })));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_no_object() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let path = format!("{}/sources/{}.png", anna.id, Uuid::new_v4());
    let broken = stream::iter([Ok(Bytes::from(picture())), Err(std::io::Error::other("the sender has gone"))]);
    assert!(matches!(caller.upload(&path, "image/png", None, broken).await, Err(Error::Unreachable { .. })));
    assert!(matches!(caller.download(&path).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn what_the_bucket_does_not_take_is_told_by_its_meaning() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let caller = project(&deployment).person(&anna.token).unwrap();
    let path = format!("{}/sources/{}.html", anna.id, Uuid::new_v4());
    let page = caller.upload(&path, "text/html", None, pieces(b"<html>")).await;
    assert!(matches!(page, Err(Error::BadFile(BadFile::UnsupportedType { .. }))), "{page:?}");
    let large = stream::iter((0..51).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20]))));
    let large = caller.upload(&path, "image/png", Some(51 << 20), large).await;
    assert!(matches!(large, Err(Error::BadFile(BadFile::TooLarge { .. }))), "{large:?}");
}
