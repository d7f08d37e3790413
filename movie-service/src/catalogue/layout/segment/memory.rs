//! The memory that a movie takes beside its frame, by component.

use crate::catalogue::encoding::details::DetailsBuffer;
use crate::catalogue::encoding::frame::MovieView;
use crate::catalogue::layout::segment::{Draft, Segment};
use crate::catalogue::layout::title_ranks::TitleRanks;
use crate::movie::{Movie, Timestamp, Values};

const MOVIES: u16 = 340;

/// Returns a segment of movies that were created by one import. `with_fields` adds the fields that a frame does not have.
fn segment(with_fields: bool) -> Segment {
    let mut draft = Draft::default();
    for number in 0..MOVIES {
        let time = Some(Timestamp { seconds: 1_760_000_000, nanos: 123_456_789 });
        let picked = |words: &[&str], by: u16| vec![words[usize::from(number / by) % words.len()].to_owned()];
        let mut movie = Movie {
            id: format!("{number:08x}-0000-0000-0000-{number:012x}"),
            title: format!("The Long and Winding {number}"),
            rating: Some(f32::from(number % 100) / 10.0),
            director: format!("Director {number}"),
            create_time: time,
            update_time: time,
            ..Movie::default()
        };
        if with_fields {
            movie.year = 1900 + i64::from(number % 125);
            movie.runtime_minutes = 60 + i64::from(number % 120);
            movie.genres =
                picked(&["Action", "Comedy", "Crime", "Drama", "Horror", "Musical", "Romance", "War"], 1);
            movie.countries = picked(&["France", "India", "Japan", "United States"], 3);
            movie.languages = picked(&["English", "French", "Hindi", "Japanese"], 5);
        }
        let (values, mut buffer) = (Values::from(&movie), DetailsBuffer::default());
        assert!(draft.push(&MovieView::of(&values, buffer.encode(&values))).unwrap().is_none());
    }
    Segment::new(draft.frames().to_vec().into(), draft.details())
}

/// Asserts how many bytes a movie takes at most: its details, what finds them, and the columns.
fn assert_takes_at_most(most: usize, segment: &Segment) {
    let details = segment.details.as_ref().unwrap();
    let columns = segment.columns();
    columns.titles(&TitleRanks::default(), |key| segment.movie(key));
    let parts = [
        ("details", details.bytes.len()),
        ("their keys", size_of_val(&*details.keys)),
        ("their ends", details.ends.size()),
        ("dictionary", details.dictionary.size()),
        ("columns", columns.size()),
    ];
    let all = parts.iter().map(|(_, bytes)| bytes).sum::<usize>();
    let of_a_movie = |bytes: usize| {
        let tenths = 10 * bytes / usize::from(MOVIES);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let parts: Vec<_> = parts.iter().map(|(part, bytes)| format!("{part} {}", of_a_movie(*bytes))).collect();
    println!("bytes of a movie: {}", parts.join(", "));
    assert!(all <= most * usize::from(MOVIES), "{} bytes: {parts:?}", of_a_movie(all));
}

#[test]
fn a_movie_with_all_fields_takes_at_most_33_bytes_beside_its_frame() {
    assert_takes_at_most(33, &segment(true));
}

#[test]
fn a_movie_with_four_fields_and_times_takes_at_most_12_bytes_beside_its_frame() {
    assert_takes_at_most(12, &segment(false));
}
