//! The labelled set: cells with secrets in every built-in class and language form, and cells that look like it.
//!
//! It stands in `tests/redact/*.txt` as formats; secrets are drawn here, from a fixed seed.

use crate::dice::Dice;
use crate::harness::root;

/// A cell, and the secrets in it.
pub struct Cell {
    /// The rule that is meant; `-` where nothing is a secret.
    pub rule: String,
    pub language: &'static str,
    pub code: String,
    pub secrets: Vec<String>,
}

/// How a value stands in a cell where it has a telling name ...
const NAMED: [(&str, &str); 12] = [
    ("elixir", "System.put_env(\"{name}\", \"{value}\")"),
    ("elixir", "{name} = \"{value}\""),
    ("elixir", "opts = [{name}: \"{value}\", retries: 3]"),
    ("elixir", "%{\"{name}\" => \"{value}\"}"),
    ("erlang", "os:putenv(\"{name}\", \"{value}\")."),
    ("erlang", "Opts = #{{name} => <<\"{value}\">>}."),
    ("python", "os.environ[\"{name}\"] = \"{value}\""),
    ("python", "client = Client({name}='{value}')"),
    ("python", "{\"{name}\": \"{value}\"}"),
    ("r", "Sys.setenv({name} = \"{value}\")"),
    ("r", "{name} <- \"{value}\""),
    ("r", "opts <- list({name} = '{value}')"),
];

/// ... and where it has none.
const NAMELESS: [(&str, &str); 12] = [
    ("elixir", "Acme.connect(\"{value}\")"),
    ("elixir", "client = Acme.client(:prod, '{value}')"),
    ("elixir", "\"\"\"\n{value}\n\"\"\" |> String.trim()"),
    ("elixir", "# was {value} until May\n1 + 1"),
    ("elixir", "x = ~s({value})"),
    ("erlang", "acme:start(<<\"{value}\">>)."),
    ("erlang", "{ok, C} = acme:open({prod, \"{value}\"})."),
    ("python", "acme.connect(\"{value}\", timeout=3)"),
    ("python", "x = f'{value}'"),
    ("python", "subprocess.run([\"acme\", \"{value}\"])"),
    ("r", "acme::connect(\"{value}\")"),
    ("r", "x <- c(\"a\", '{value}')"),
];

/// Draws what `template` leaves open.
pub fn draw(template: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('⟦') {
        let (what, behind) = behind.split_once('⟧').expect(template);
        out += before;
        if what == "uuid" {
            let part = |dice: &mut Dice, count| draw_from(b"0123456789abcdef", count, dice);
            let parts = [8, 4, 4, 4, 12].map(|count| part(dice, count));
            out += &parts.join("-");
        } else {
            let (set, count) = what.split_once(':').expect(template);
            out += &draw_from(&set_of(set), count.parse().expect(template), dice);
        }
        rest = behind;
    }
    (out + rest).replace('⏎', "\n")
}

fn set_of(name: &str) -> Vec<u8> {
    let (upper, lower, digits) = (b'A'..=b'Z', b'a'..=b'z', b'0'..=b'9');
    match name {
        "H" => digits.chain(b'a'..=b'f').collect(),
        "D" => digits.collect(),
        "U" => digits.chain(upper).collect(),
        "L" => digits.chain(lower).collect(),
        "A" => upper.chain(b'2'..=b'7').collect(),
        "S" => b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".to_vec(),
        "C" => upper.chain(lower).collect(),
        "X" => digits.chain(upper).chain(lower).collect(),
        "B" => digits.chain(upper).chain(lower).chain(*b"+/").collect(),
        "W" => digits.chain(upper).chain(lower).chain(*b"-_").collect(),
        other => panic!("no set of characters: {other}"),
    }
}

fn draw_from(set: &[u8], count: usize, dice: &mut Dice) -> String {
    (0..count).map(|_| char::from(set[dice.below(set.len())])).collect()
}

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("tests/redact").join(name)).unwrap();
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

fn language(name: &str) -> &'static str {
    ["elixir", "erlang", "python", "r"].iter().find(|known| **known == name).expect(name)
}

/// Cells that hold secrets.
pub fn secrets(dice: &mut Dice) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (at, line) in lines("tokens.txt").iter().enumerate() {
        let [rule, format, name] = line.split('\t').collect::<Vec<_>>().try_into().expect(line);
        let forms = if name == "-" { NAMELESS } else { NAMED };
        // Two forms for each format, and over all of them every form.
        for form in [at % forms.len(), (at * 5 + 7) % forms.len()] {
            let (language, form) = forms[form];
            let value = draw(format, dice);
            let code = form.replace("{name}", name).replace("{value}", &value);
            cells.push(Cell { rule: rule.to_owned(), language, code, secrets: vec![value] });
        }
    }
    for line in lines("cells.txt") {
        let [rule, name, cell] = line.splitn(3, '\t').collect::<Vec<_>>().try_into().expect(&line);
        let drawn = draw(cell, dice);
        let secrets =
            drawn.split('«').skip(1).map(|rest| rest.split('»').next().unwrap().to_owned()).collect();
        let code = drawn.replace(['«', '»'], "");
        cells.push(Cell { rule: rule.to_owned(), language: language(name), code, secrets });
    }
    cells
}

/// Cells that hold none.
pub fn look_alikes(dice: &mut Dice) -> Vec<Cell> {
    let cell = |line: &String| {
        let (name, cell) = line.split_once('\t').expect(line);
        Cell { rule: "-".to_owned(), language: language(name), code: draw(cell, dice), secrets: Vec::new() }
    };
    lines("look_alikes.txt").iter().map(cell).collect()
}
