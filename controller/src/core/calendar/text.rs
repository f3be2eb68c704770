//! The Chinese text of a notice, read: which days it gives off, and which it has worked on.
//!
//! A paragraph is a festival. In it stand groups of days, and after each group the words that say
//! what they are:
//!
//! ```text
//! 二、春节：2月15日（周日）至23日（周一） 放假调休，共9天。 2月14日（周六）、2月28日（周六） 上班。
//!           └─────── group ─────────┘ └── words ──┘   └───────── group ─────────┘ └words┘
//! ```
//! Every weekday in brackets is compared with the day, and every 共N天 with the group. What cannot
//! be told is refused: nothing is guessed.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{
    Because, Calendar, Day, chinese_weekday,
    notice::{MAX_TEXT_BYTES, NoticeError, range},
    plus_days,
};

/// Chinese numerals that number paragraphs.
const NUMERALS: &str = "一二三四五六七八九十";

/// What a text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The title, if it stands there.
    pub title: Option<String>,
    /// The number, if it stands there.
    pub number: Option<String>,
    /// The day under the signature, if it stands there in Arabic figures.
    pub issued: Option<Date>,
    /// The year that it is about.
    pub year: i16,
    /// Whether it changes a year that another notice has settled, by its title.
    pub amends: bool,
    /// Days off.
    pub rest: BTreeSet<Date>,
    /// Working days (上班).
    pub work: BTreeSet<Date>,
}

/// Reads a text. `year` is needed if the title does not stand in it.
///
/// # Errors
/// [`NoticeError`] with the words and the contradiction.
pub fn read(text: &str, year: Option<i16>, calendar: &Calendar) -> Result<Reading, NoticeError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(NoticeError(format!("the text is longer than {MAX_TEXT_BYTES} bytes")));
    }
    let plain = plain(text);
    let line: String = plain.chars().filter(|c| *c != '\n').collect();
    let title = title(&line);
    let titled = title.as_deref().and_then(first_year);
    let told = year.or(titled).or_else(|| first_year(&line));
    let Some(told) = told else {
        return Err(NoticeError("the text names no year: give its title, too".to_owned()));
    };
    if titled.is_some_and(|titled| titled != told) {
        return Err(NoticeError(format!("its title is about another year than {told}")));
    }
    let amends = title
        .as_deref()
        .is_some_and(|title| ["调整", "延长", "纪念日"].iter().any(|word| title.contains(word)));
    let mut reading = Reading {
        number: number(&line),
        issued: signed_on(&plain),
        title,
        year: told,
        amends,
        ..Reading::default()
    };
    for paragraph in paragraphs(&plain) {
        Paragraph { text: paragraph, year: told, last: None, calendar }.read(&mut reading)?;
    }
    if let Some(day) = reading.rest.intersection(&reading.work).next() {
        return Err(NoticeError(format!("the text has {day} off and worked on (上班)")));
    }
    if reading.rest.is_empty() && reading.work.is_empty() {
        let sentence = "the text gives no day off: paste the notice's own paragraphs (一、元旦：…)";
        return Err(NoticeError(sentence.to_owned()));
    }
    Ok(reading)
}

/// The text with one form of each sign, and without white space inside lines.
fn plain(text: &str) -> String {
    let one = |c: char| match c {
        '（' => '(',
        '）' => ')',
        '，' => ',',
        '：' => ':',
        '；' => ';',
        '—' | '–' | '－' | '～' | '~' => '-',
        '[' => '〔',
        ']' => '〕',
        '０'..='９' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        other => other,
    };
    let keep = |c: &char| *c == '\n' || !c.is_whitespace() && !c.is_control();
    text.chars().filter(keep).map(one).collect()
}

/// The paragraphs that settle days: the numbered ones, or all if none is numbered.
fn paragraphs(plain: &str) -> Vec<Vec<char>> {
    let mut numbered = Vec::new();
    for line in plain.lines() {
        let chars: Vec<char> = line.chars().collect();
        let starts = (0..chars.len()).filter(|at| {
            let before = at.checked_sub(1).and_then(|at| chars.get(at));
            let fresh = before.is_none_or(|before| *before == '。');
            fresh && NUMERALS.contains(chars[*at]) && chars.get(at + 1) == Some(&'、')
        });
        let starts: Vec<usize> = starts.collect();
        for (place, start) in starts.iter().enumerate() {
            let end = starts.get(place + 1).copied().unwrap_or(chars.len());
            numbered.push(chars[*start..end].to_vec());
        }
    }
    if numbered.is_empty() {
        plain.lines().map(|line| line.chars().collect()).collect()
    } else {
        numbered
    }
}

/// 国务院…关于…的通知.
fn title(line: &str) -> Option<String> {
    let end = line.find("的通知")?;
    let about = line[..end].rfind("关于")?;
    let start = line[..about].rfind("国务院")?;
    Some(format!("{}的通知", &line[start..end]))
}

/// 国办发明电〔2025〕7号 and its like.
fn number(line: &str) -> Option<String> {
    let bracket = line.find('〔')?;
    let start = line[..bracket].rfind('国')?;
    let end = bracket + line[bracket..].find('号')?;
    let number = format!("{}号", &line[start..end]);
    (number.chars().count() <= 24).then_some(number)
}

fn first_year(text: &str) -> Option<i16> {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).find_map(|at| {
        let fresh = at == 0 || !chars[at - 1].is_ascii_digit();
        let (digits, next) = figures(&chars, at)?;
        let year = i16::try_from(digits).ok().filter(|year| (2000..=2200).contains(year));
        year.filter(|_| fresh && chars.get(next) == Some(&'年'))
    })
}

/// The day under the signature: a line of its own, perhaps behind the signature.
fn signed_on(plain: &str) -> Option<Date> {
    plain.lines().rev().find_map(|line| {
        let bare = line.trim_start_matches("国务院").trim_start_matches("办公厅");
        let chars: Vec<char> = bare.chars().collect();
        let written = Written::at(&chars, 0).filter(|written| written.end == chars.len())?;
        Date::new(i16::try_from(written.year?).ok()?, written.month?, written.day).ok()
    })
}

/// A number in Arabic figures at a place, and the place after it.
fn figures(chars: &[char], at: usize) -> Option<(u32, usize)> {
    let digits: String = chars.iter().skip(at).take(5).take_while(|c| c.is_ascii_digit()).collect();
    Some((digits.parse().ok()?, at + digits.len()))
}

/// A day as it is written, with or without year and month.
struct Written {
    year: Option<u32>,
    month: Option<i8>,
    day: i8,
    /// The place after it.
    end: usize,
}

impl Written {
    fn at(chars: &[char], start: usize) -> Option<Self> {
        let (mut year, mut month) = (None, None);
        let (mut found, mut at) = figures(chars, start)?;
        if chars.get(at) == Some(&'年') {
            year = Some(found);
            (found, at) = figures(chars, at + 1)?;
        }
        if chars.get(at) == Some(&'月') {
            month = Some(i8::try_from(found).ok()?);
            (found, at) = figures(chars, at + 1)?;
        }
        let day = i8::try_from(found).ok()?;
        let whole = chars.get(at) == Some(&'日') && (year.is_none() || month.is_some());
        whole.then_some(Self { year, month, day, end: at + 1 })
    }
}

struct Paragraph<'a> {
    text: Vec<char>,
    year: i16,
    /// The last day that was read: what is left out of the next one is as in it.
    last: Option<Date>,
    calendar: &'a Calendar,
}

/// Days that stand together, and the words before and after them.
struct Group {
    days: Vec<Date>,
    before: String,
    after: String,
}

impl Paragraph<'_> {
    fn read(&mut self, reading: &mut Reading) -> Result<(), NoticeError> {
        let sentences: Vec<Vec<char>> =
            self.text.split(|c| *c == '。' || *c == ';').map(<[char]>::to_vec).collect();
        for sentence in sentences {
            let words: String = sentence.iter().collect();
            // Who is encouraged to take leave is not given a day off.
            if !words.contains("鼓励") {
                for group in self.groups(&sentence)? {
                    self.take(&group, &words, reading)?;
                }
            }
        }
        Ok(())
    }

    fn groups(&mut self, sentence: &[char]) -> Result<Vec<Group>, NoticeError> {
        let mut groups: Vec<Group> = Vec::new();
        let (mut at, mut words) = (0, String::new());
        while at < sentence.len() {
            if Written::at(sentence, at).is_some() {
                let (days, end) = self.group(sentence, at)?;
                if let Some(last) = groups.last_mut() {
                    last.after.clone_from(&words);
                }
                groups.push(Group {
                    days,
                    before: std::mem::take(&mut words),
                    after: String::new(),
                });
                at = end;
            } else if sentence[at] == '(' {
                at = after_bracket(sentence, at);
            } else {
                // Figures that are no day are skipped whole, lest their end be taken for one.
                let end = figures(sentence, at).map_or(at + 1, |(_, end)| end);
                words.extend(&sentence[at..end]);
                at = end;
            }
        }
        if let Some(last) = groups.last_mut() {
            last.after = words;
        }
        Ok(groups)
    }

    /// `a`, `a至b`, `a、b和c至d`.
    fn group(&mut self, text: &[char], start: usize) -> Result<(Vec<Date>, usize), NoticeError> {
        let (first, mut at) = self.day(text, start)?;
        let mut days = vec![first];
        loop {
            let next = at + 1;
            let follows = Written::at(text, next).is_some();
            match text.get(at) {
                Some('至' | '到' | '-') if follows => {
                    let from = days.pop().unwrap_or(first);
                    let (to, end) = self.day(text, next)?;
                    days.extend(range(from, to)?);
                    at = end;
                }
                Some('、' | '和') if follows => {
                    let (day, end) = self.day(text, next)?;
                    days.push(day);
                    at = end;
                }
                _ => return Ok((days, at)),
            }
        }
    }

    /// One day, with its weekday in brackets if that stands there.
    fn day(&mut self, text: &[char], start: usize) -> Result<(Date, usize), NoticeError> {
        let cut_off = || NoticeError("a day is cut off".to_owned());
        let written = Written::at(text, start).ok_or_else(cut_off)?;
        let words: String = text[start..written.end].iter().collect();
        let new_year = self.text.iter().take(8).collect::<String>().contains("元旦");
        let (year, month) = match (written.year, written.month, self.last) {
            (Some(year), Some(month), _) => (i16::try_from(year).unwrap_or(0), month),
            // 元旦 may begin in the December before.
            (None, Some(12), _) if new_year => (self.year.saturating_sub(1), 12),
            (None, Some(month), _) => (self.year, month),
            (_, None, Some(last)) => (last.year(), last.month()),
            (_, None, None) => {
                return Err(NoticeError(format!("{words}: the month does not stand there")));
            }
        };
        let day = Date::new(year, month, written.day)
            .map_err(|_| NoticeError(format!("{words}: there is no such day in {year}")))?;
        self.last = Some(day);
        let mut end = written.end;
        if text.get(end) == Some(&'(') {
            end = after_bracket(text, written.end);
            let bracket: String = text[written.end..end].iter().collect();
            check_weekday(day, &words, &bracket)?;
        }
        Ok((day, end))
    }

    /// Takes over what the words around a group say of it.
    fn take(
        &self,
        group: &Group,
        sentence: &str,
        reading: &mut Reading,
    ) -> Result<(), NoticeError> {
        let Group { days, before, after } = group;
        let words = after.trim_start_matches(',');
        let first_words = words.split(',').next().unwrap_or_default();
        if before.ends_with("假期至") {
            reading.rest.extend(self.extension(days)?);
        } else if after.starts_with("起正常上班") {
            let first = days.first().copied().unwrap_or_default();
            if reading.rest.contains(&first) {
                return Err(NoticeError(format!("{first} is off, and work begins on it")));
            }
        } else if first_words.contains("上班") {
            reading.work.extend(days);
        } else if before.ends_with("调至") || is_off(first_words) {
            check_count(days, after)?;
            reading.rest.extend(days);
        } else if !["法定", "公休", "照常"].iter().any(|word| first_words.contains(word)) {
            let day = days.first().copied().unwrap_or_default();
            return Err(NoticeError(format!("what {day} is cannot be told from: {sentence}")));
        }
        Ok(())
    }

    /// 延长…假期至: from the day after the holiday that stands before it.
    fn extension(&self, days: &[Date]) -> Result<Vec<Date>, NoticeError> {
        let Some(last) = days.first().copied() else { return Ok(Vec::new()) };
        let mut from = last;
        for _ in 0..super::notice::MAX_RANGE {
            let before = plus_days(from, -1);
            match self.calendar.because(before) {
                (Day::Rest, Because::Notice(_)) => return range(from, last),
                (Day::Work | Day::Rest | Day::Unknown, _) => from = before,
            }
        }
        Err(NoticeError(format!("no holiday is known that could be extended to {last}")))
    }
}

/// Whether these words give days off.
fn is_off(words: &str) -> bool {
    ["放假", "补休"].iter().any(|word| words.contains(word)) || words.starts_with("调休")
}

/// The place after a bracket that opens at `start`.
fn after_bracket(text: &[char], start: usize) -> usize {
    let close = text.iter().skip(start).position(|c| *c == ')');
    close.map_or(text.len(), |place| start + place + 1)
}

fn check_weekday(day: Date, words: &str, bracket: &str) -> Result<(), NoticeError> {
    let after = |sign: &str| {
        let at = bracket.find(sign)? + sign.len();
        bracket[at..].chars().next().filter(|c| "一二三四五六日天".contains(*c))
    };
    let Some(said) = after("星期").or_else(|| after("周")) else { return Ok(()) };
    let is = chinese_weekday(day);
    if is.ends_with(said) || said == '天' && is.ends_with('日') {
        return Ok(());
    }
    Err(NoticeError(format!("{words}{bracket}: {day} is a {is}, not a 星期{said}")))
}

/// 放假1天, 共9天: as many days as stand before it.
fn check_count(days: &[Date], after: &str) -> Result<(), NoticeError> {
    let chars: Vec<char> = after.chars().collect();
    let said = (0..chars.len()).find_map(|at| {
        let fresh = at == 0 || !chars[at - 1].is_ascii_digit();
        let (count, end) = figures(&chars, at)?;
        (fresh && chars.get(end) == Some(&'天')).then_some(count)
    });
    match said {
        Some(said) if usize::try_from(said) != Ok(days.len()) => {
            let span = (days.first().copied(), days.last().copied());
            let (first, last) = (span.0.unwrap_or_default(), span.1.unwrap_or_default());
            Err(NoticeError(format!(
                "{first} to {last} are {} days; the text says {said} (共{said}天)",
                days.len()
            )))
        }
        _ => Ok(()),
    }
}
