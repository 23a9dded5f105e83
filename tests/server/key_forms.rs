//! Every form in which a Behest key is handed around.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use behest_client::Reason;
use behest_client::server::{Settings, TokenEndpoint};

use crate::minting::pem;
use crate::support::*;

const IDS: [(&str, &str); 3] = [("BEHEST_KID", "k"), ("BEHEST_TENANT_ID", "t"), ("BEHEST_PROJECT_ID", "p")];

#[tokio::test]
async fn every_form_of_a_private_key_signs() {
    let key = Key::rsa();
    let pkcs8 = pem("PRIVATE KEY", &key.pkcs8());
    let pkcs1 = pem("RSA PRIVATE KEY", &key.pkcs1());
    let mut forms = Vec::new();
    for (label, pem) in [("PKCS#8", &pkcs8), ("PKCS#1", &pkcs1)] {
        let bare = [
            ("PEM", pem.clone()),
            ("PEM, no last line break", pem.trim_end().to_owned()),
            ("PEM with CRLF", pem.replace('\n', "\r\n")),
            ("PEM with \\n written out", pem.replace('\n', "\\n")),
            ("PEM with \\r\\n written out", pem.replace('\n', "\\r\\n")),
            ("PEM on one line", pem.replace('\n', " ")),
            ("base64 of the PEM", STANDARD.encode(pem)),
            ("base64 without padding", STANDARD_NO_PAD.encode(pem)),
            (
                "base64 in lines",
                STANDARD
                    .encode(pem)
                    .as_bytes()
                    .chunks(76)
                    .map(|line| String::from_utf8_lossy(line))
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
        ];
        for (form, text) in bare {
            forms.push((format!("{label} {form}"), text.clone()));
            forms.push((format!("{label} {form}, prefixed"), format!("behest_pk_{text}")));
            forms.push((format!("{label} {form}, quoted"), format!("\"{text}\"")));
        }
    }
    forms.push(("DER in base64".into(), STANDARD.encode(key.pkcs8())));
    assert_eq!(forms.len(), 55);
    for (name, text) in forms {
        let world =
            World::with(&[&IDS[..], &[("BEHEST_KEY", text.as_str()), ("BEHEST_BASE_URL", "")]].concat(), |settings| {
                settings
            });
        let bundle = body(&world.post(&session()).await);
        let (_, claims) = key.open(bundle["token"].as_str().unwrap_or_else(|| panic!("{name}: {bundle}")));
        assert!(claims.contains(USER));
    }
}

#[test]
fn keys_that_cannot_serve_are_refused_at_the_start_and_never_quoted() {
    let key = Key::rsa();
    let good = pem("PRIVATE KEY", &key.pkcs8());
    let cut = good[..900].to_owned();
    let damaged = good.replacen("MII", "M!!", 1);
    let weak = weak_rsa();
    let Key::P256(curve) = Key::p256() else { panic!() };
    let curve = curve.to_pkcs8v1().unwrap();
    let cases = [
        ("former kind", "bh_live_0123456789".to_owned(), "former kind"),
        ("Supabase key", "sb_secret_0123456789".into(), "another service"),
        ("OpenAI key", "sk-proj-0123456789".into(), "another service"),
        ("test key", "behest_live_1".into(), "neither"),
        ("words", "my key".into(), "neither"),
        ("base64 of words", STANDARD.encode("hello world"), "neither"),
        ("space inside", "behest_sk_live_01 23".into(), "a character that no key has"),
        ("cut off", cut, "cut off"),
        ("damaged", damaged, "damaged"),
        ("with a passphrase", good.replace("PRIVATE", "ENCRYPTED PRIVATE"), "passphrase"),
        ("public key", good.replace("PRIVATE", "PUBLIC"), "not of a private key"),
        ("certificate", good.replace("PRIVATE KEY", "CERTIFICATE"), "not of a private key"),
        ("EC, own label", good.replace("PRIVATE KEY", "EC PRIVATE KEY"), "elliptic"),
        ("EC in PKCS#8", pem("PRIVATE KEY", curve.as_ref()), "RSA private key of 2,048"),
        ("1024 bits", weak, "RSA private key of 2,048"),
        ("prefix alone", "behest_pk_".into(), "neither"),
    ];
    for (name, text, says) in cases {
        let settings = Settings::from_lookup(lookup(&[&IDS[..], &[("BEHEST_KEY", text.as_str())]].concat()));
        let error = TokenEndpoint::new(settings).unwrap_err();
        assert_eq!(error.reason(), Reason::Misconfigured, "{name}");
        assert!(error.message().contains("BEHEST_KEY ") && error.message().contains(says), "{name}: {error}");
        assert!(text.len() < 12 || !error.to_string().contains(&text[10..]), "{name} is quoted");
    }
}

/// A 1024-bit private key made of numbers that fit together: the arithmetic of RSA is not needed to be refused.
fn weak_rsa() -> String {
    fn integer(bytes: &[u8]) -> Vec<u8> {
        [&[0x02, 0x81, bytes.len() as u8], bytes].concat()
    }
    let modulus: Vec<u8> = [&[0u8, 0xC1][..], &[0x55; 127]].concat();
    let half: Vec<u8> = [&[0u8, 0xC1][..], &[0x55; 63]].concat();
    let parts = [
        vec![2, 1, 0],
        integer(&modulus),
        vec![2, 3, 1, 0, 1],
        integer(&modulus),
        integer(&half),
        integer(&half),
        integer(&half),
        integer(&half),
        integer(&half),
    ];
    let inner = parts.concat();
    let length = (inner.len() as u16).to_be_bytes();
    pem("RSA PRIVATE KEY", &[&[0x30, 0x82, length[0], length[1]], &inner[..]].concat())
}

#[tokio::test]
async fn the_former_name_of_the_variable_still_works() {
    let world = World::with(&[("BEHEST_KEY", ""), ("BEHEST_API_KEY", API_KEY)], |settings| settings);
    assert_eq!(world.post(&session()).await.status(), 200);
    let world = World::with(&[("BEHEST_API_KEY", "behest_sk_live_older")], |settings| settings);
    world.post(&session()).await;
    assert_eq!(world.http.calls(MINT)[0].headers()["authorization"], format!("Bearer {API_KEY}"), "the new name wins");
}
