//! A JSON database is loaded completely, or refused with a position in the file and a one-line message.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use movie_service::store::json::{LoadError, load_from};
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    match load_from(text, text.len() as u64, Path::new("f")) {
        Ok(movies) => {
            let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            // Ignored values may be invalid for this parser, for example a number that is out of range.
            let Ok(json) = serde_json::from_slice::<Value>(json) else { return };
            let list = json["movies"].as_array().expect("a database has a list of movies");
            assert_eq!(movies.movies().count(), list.len());
            for (movie, json) in movies.movies().zip(list) {
                assert_eq!(Some(movie.id), json["id"].as_str());
                assert_eq!(Some(movie.title), json["title"].as_str());
                assert_eq!(movie.director, json["director"].as_str().unwrap_or_default());
                assert_eq!(movies.get(movie.id), Some(movie));
            }
        }
        Err(LoadError::Invalid { at, message, .. }) => {
            let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            assert!((1..=lines.len()).contains(&at.line), "{at} of {} lines", lines.len());
            let line = lines[at.line - 1];
            assert!((1..=line.len() + 1).contains(&at.column), "{at} of a line of {}", line.len());
            assert!(message.len() < 4_000 && !message.contains(char::is_control), "{message:?}");
        }
        Err(LoadError::Read { source, .. }) => panic!("memory can be read: {source}"),
    }
});
