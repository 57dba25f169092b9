//! Files that are something else: one clear message, never a panic, and nothing half made.

use super::*;

const PRODUCTS: [Product; 3] = [Product::Prometheus, Product::Monit, Product::Nagios];

fn refused(product: Product, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.cfg");
    fs::write(&path, bytes).unwrap();
    match import(product, &mut Reader::new(&[path]), &doors(), &facts()) {
        Ok(made) => panic!("{product:?} made {}", made.toml),
        Err(refused) => refused.to_string().replace(&dir.path().display().to_string(), "DIR"),
    }
}

#[test]
fn what_is_no_file_of_the_product_is_refused_in_a_sentence() {
    for product in PRODUCTS {
        for (bytes, said) in [
            (&b"\x7fELF\x00\x00\x01"[..], "zero byte in line 1"),
            (&b"a: 1\n\xe9t\xe9"[..], "not UTF-8 text (line 2)"),
            (&b"\xff\xfea\x00"[..], "UTF-16"),
            (&b"Dear sir,\nhow are you?\n"[..], "no"),
        ] {
            let message = refused(product, bytes);
            assert!(message.starts_with("DIR/a.cfg") && message.contains(said), "{product:?}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let large = vec![b'#'; 10 << 20];
        assert!(refused(product, &large).contains("larger than 8 MiB"), "{product:?}");
    }
    assert!(refused(Product::Prometheus, b"groups: []\n").contains("empty"));
    assert!(refused(Product::Prometheus, b"groups:\n- rules: [\n").contains("is no YAML"));
    assert!(refused(Product::Prometheus, b"local x = 1; {a+:: {}}\n").contains("jsonnet"));
    assert!(refused(Product::Monit, b"check system \"a\n").contains("DIR/a.cfg:1: this text is not closed"));
    assert!(
        refused(Product::Nagios, b"\ndefine host {\n host_name a\n").contains("DIR/a.cfg:2: `define host`")
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut reader = Reader::new(&[PathBuf::from("no/such/file")]);
    let refused = import(Product::Monit, &mut reader, &doors(), &facts()).err().unwrap();
    assert!(refused.to_string().starts_with("cannot read no/such/file: "), "{refused}");
}

#[test]
fn unknown_keys_are_told_and_anchors_are_put_in() {
    let text = "groups:\n- name: a\n  limit: 5\n  rules:\n  - &one\n    alert: A\n    expr: node_load1 > 4\n    \
                color: red\n    labels: &l {severity: critical}\n  - <<: *one\n    alert: B\n    labels: *l\n";
    let made = of_text(Product::Prometheus, text);
    loaded(&made.toml);
    assert_eq!(made.items.len(), 2);
    assert!(made.items.iter().all(|i| i.losses.iter().any(|l| l.piece == "color: red")));
    assert_eq!(made.asides[0].piece, "limit: 5");
}

/// Texts that would mean something in TOML, in titles or in conditions stay texts.
#[test]
fn strangers_cannot_write_rules() {
    let evil = "\"\"\"\\n[[rule]]\\nid = 'evil' {{ $labels.x }} {mount} }} \u{7} '";
    let json = serde_json::to_string(evil).unwrap();
    let yaml = format!(
        "groups:\n- rules:\n  - alert: {json}\n    expr: node_load1 > 1\n    labels: {{ {json}: {json} }}\n    \
         annotations: {{ summary: {json}, description: {json} }}\n"
    );
    let monit = format!(
        "check process {evil:?} matching {evil:?}\n start program = {evil:?}\n if cpu > 3% then restart\n"
    );
    let nagios = format!(
        "define service {{\n service_description {evil}\n host_name {evil}\n check_command check_http!{evil}\n}}\n"
    );
    for (product, text) in [(Product::Prometheus, yaml), (Product::Monit, monit), (Product::Nagios, nagios)] {
        let made = of_text(product, &text.replace('\u{7}', ""));
        assert!(loaded(&made.toml).plan.rules.iter().all(|r| r.id != "evil"), "{}", made.toml);
    }
}

/// Fixtures with pieces cut out, doubled and replaced: a file that loads, or a refusal.
#[test]
fn damaged_files_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |most: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % most.max(1) as u64) as usize
    };
    let words = [
        "{", "}", "(", ")", "\"", "[5m]", " > ", "$ARG1$", "{{", "é", "%", ":", "\n", "if", "!", "1e999",
        "-", "*",
    ];
    for (name, product, files) in FIXTURES {
        let text = fs::read_to_string(Path::new("tests/import").join(files[0])).unwrap();
        for round in 0..25 {
            let mut chars: Vec<char> = text.chars().collect();
            for _ in 0..=random(8) {
                let at = random(chars.len());
                let to = (at + random(30)).min(chars.len());
                let put: Vec<char> = words[random(words.len())].chars().collect();
                chars.splice(at..to, put);
            }
            let text: String = chars.into_iter().collect();
            let mut reader = Reader::of_texts(&[("a.file", &text)]);
            if let Ok(made) = import(product, &mut reader, &doors(), &facts()) {
                let look =
                    config::load_texts(&[("sexton.toml", ""), ("a.toml", &made.toml)], &doors(), &facts());
                assert!(look.is_ok(), "{name}, round {round}: {}", made.toml);
            }
        }
    }
}
