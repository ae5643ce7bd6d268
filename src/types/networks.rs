//! Networks of addresses: which hold an address, and how a MISP may have them written. It keeps the
//! bits of a network that stand for hosts (its AttributeValidationTool.php, `normalizeIp`;
//! `fixtures/wire/misp/584-value-search-networks.json`), so that `203.0.113.77/24` is as good as
//! `203.0.113.0/24`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::normalise;

/// An address, or a network of them: so many bits of the address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// Reads `203.0.113.0/24`, or an address alone. A mapped one (`::ffff:192.0.2.1`) is the IPv4
    /// address that it stands for.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = bits_of(address);
        let length = match length {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= bits)?
            }
            Some(_) => return None,
        };

        let mapped = match address {
            // A shorter network holds more than mapped addresses.
            IpAddr::V6(six) if length >= MAPPED => six.to_ipv4_mapped(),
            IpAddr::V6(_) | IpAddr::V4(_) => None,
        };
        Some(match mapped {
            Some(four) => Self {
                address: four.into(),
                length: length - MAPPED,
            },
            None => Self { address, length },
        })
    }

    /// True for a single address.
    pub fn is_address(self) -> bool {
        self.length == bits_of(self.address)
    }

    /// How many of its bits count.
    pub fn length(self) -> u8 {
        self.length
    }

    /// True if all of another network is in this one.
    pub fn holds(self, other: Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.length <= other.length
            && mask(self.address, self.length) == mask(other.address, self.length)
    }

    /// As MISP writes it where no bit stands for a host; an address by itself.
    pub fn to_text(self) -> String {
        written(mask(self.address, self.length), self.length)
    }

    /// Every network that holds it, each without bits that stand for hosts: of an IPv4 address 33,
    /// of an IPv6 address 129.
    pub fn holders(self) -> impl Iterator<Item = String> {
        let Self { address, length } = self;
        (0..=length).rev().flat_map(move |length| {
            let network = mask(address, length);
            // A feed may hold an address with the `/32` that MISP drops.
            let is_all = length == bits_of(address);
            let whole = is_all.then(|| format!("{network}/{length}"));
            [written(network, length)].into_iter().chain(whole)
        })
    }

    /// Patterns of SQL's `LIKE` for the networks that hold it and have bits that stand for hosts,
    /// from `/8` (IPv6: `/16`) on. Each ends with `%`, without which MISP takes it for a value, and
    /// begins with signs that all of these networks have in common, so that the database finds them
    /// by its index. They are few, since it tries each on every value that begins so; what else
    /// they fit is for the caller to see.
    pub fn holder_patterns(self) -> Vec<String> {
        // Lengths as a pattern has them, the least of them, and how many parts they have in common.
        const FOUR: [(&str, u8, usize); 5] = [
            ("8", 8, 1),
            ("9", 9, 1),
            ("1_", 10, 1),
            ("2_", 20, 2),
            ("", 24, 3),
        ];
        const SIX: [(&str, u8, usize); 5] = [
            ("1_", 16, 1),
            ("2_", 20, 1),
            ("3_", 30, 1),
            ("4_", 40, 2),
            ("", 48, 3),
        ];
        let (parts, lengths, sign): (Vec<String>, _, _) = match self.address {
            IpAddr::V4(four) => (
                four.octets().iter().take(3).map(u8::to_string).collect(),
                FOUR,
                ".",
            ),
            // No zeros: where they are left out is not known.
            IpAddr::V6(six) => {
                let parts = six.segments().into_iter().take(3);
                let known = parts.take_while(|part| *part != 0);
                (known.map(|part| format!("{part:x}")).collect(), SIX, ":")
            }
        };
        // Its zeros at the beginning are mostly written `::`, and nothing else is known.
        if parts.is_empty() {
            return vec![format!("{sign}{sign}%/%")];
        }

        let mut patterns: Vec<String> = Vec::new();
        for (length, least, common) in lengths {
            if least > self.length {
                break;
            }
            let (known, is_known) = (parts.get(..common), parts.len() >= common);
            let beginning = known.unwrap_or(&parts).join(sign);
            // What is not known to begin so has every length.
            let length = if is_known { length } else { "" };
            patterns.push(format!("{beginning}{sign}%/{length}%"));
        }
        patterns.dedup();

        patterns
    }
}

/// Bits before the IPv4 address in a mapped one.
const MAPPED: u8 = 96;

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with so many of its bits.
fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(four) => {
            // For `/0` all bits would be shifted out, which Rust does not do.
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Ipv4Addr::from_bits(four.to_bits() & mask).into()
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Ipv6Addr::from_bits(six.to_bits() & mask).into()
        }
    }
}

fn written(network: IpAddr, length: u8) -> String {
    normalise::address(&format!("{network}/{length}"))
}

/// SQL's `LIKE`, by which MISP searches for patterns.
#[cfg(test)]
pub fn like(pattern: &str, text: &str) -> bool {
    let mut signs = pattern.chars();
    match signs.next() {
        None => text.is_empty(),
        Some('%') => (0..=text.len()).any(|at| {
            text.get(at..)
                .is_some_and(|rest| like(signs.as_str(), rest))
        }),
        Some(sign) => text.chars().next().is_some_and(|first| {
            (sign == '_' || sign == first) && like(signs.as_str(), &text[first.len_utf8()..])
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn texts_that_are_no_network_are_none() {
        for text in [
            "",
            "/",
            "1.2.3.4/",
            "/24",
            "1.2.3.4/33",
            "2001:db8::/129",
            "1.2.3/24",
            "1.2.3.4/+8",
            "1.2.3.4/ 8",
            "1.2.3.4/8/8",
            "1.2.3.4/255.0.0.0",
            "evil.example/24",
            "1.2.3.4/999",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        assert_eq!(network("1.2.3.4/024").length(), 24);
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!(network("::ffff:192.0.2.0/120"), network("192.0.2.0/24"));
    }

    #[test]
    fn a_network_holds_what_begins_as_it_does() {
        for (outer, inner, is_held) in [
            ("203.0.113.0/24", "203.0.113.77", true),
            ("203.0.113.9/24", "203.0.113.77", true),
            ("203.0.113.0/24", "203.0.114.1", false),
            ("203.0.112.0/23", "203.0.113.0/24", true),
            ("203.0.113.0/24", "203.0.112.0/23", false),
            ("0.0.0.0/0", "203.0.113.77", true),
            ("::/0", "203.0.113.77", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("2001:db8::/32", "2001:db9::5", false),
        ] {
            assert_eq!(
                network(outer).holds(network(inner)),
                is_held,
                "{outer} {inner}"
            );
        }
    }

    #[test]
    fn every_length_is_asked_for_as_misp_writes_it() {
        let four: Vec<_> = network("203.0.113.77").holders().collect();
        assert_eq!(four.len(), 34);
        assert_eq!(
            four[..3],
            ["203.0.113.77", "203.0.113.77/32", "203.0.113.76/31"]
        );
        assert_eq!(four[33], "0.0.0.0/0");
        let six: Vec<_> = network("2001:db8::1").holders().collect();
        assert_eq!(six.len(), 130);
        assert!(six.contains(&"2001:db8::/32".to_owned()) && six.contains(&"::/0".to_owned()));
        assert_eq!(network("10.0.0.0/8").holders().count(), 9);
    }

    #[test]
    fn patterns_begin_as_the_networks_do() {
        for (text, patterns) in [
            (
                "203.0.113.77",
                vec![
                    "203.%/8%",
                    "203.%/9%",
                    "203.%/1_%",
                    "203.0.%/2_%",
                    "203.0.113.%/%",
                ],
            ),
            ("10.1.0.0/9", vec!["10.%/8%", "10.%/9%"]),
            ("10.0.0.0/7", vec![]),
            (
                "2001:db8:1::5",
                vec![
                    "2001:%/1_%",
                    "2001:%/2_%",
                    "2001:%/3_%",
                    "2001:db8:%/4_%",
                    "2001:db8:1:%/%",
                ],
            ),
            (
                "2001:db8::5",
                vec![
                    "2001:%/1_%",
                    "2001:%/2_%",
                    "2001:%/3_%",
                    "2001:db8:%/4_%",
                    "2001:db8:%/%",
                ],
            ),
            (
                "2001:0:1::5",
                vec!["2001:%/1_%", "2001:%/2_%", "2001:%/3_%", "2001:%/%"],
            ),
            ("::5", vec!["::%/%"]),
        ] {
            assert_eq!(network(text).holder_patterns(), patterns, "{text}");
        }
    }

    proptest! {
        /// Whatever bits of a network stand for hosts, it is asked for.
        #[test]
        fn each_network_that_holds_an_address_is_asked_for(
            bits: u128, hosts: u128, length in 0u8..=128, is_six: bool,
        ) {
            let (address, network) = if is_six {
                let (address, hosts) = (Ipv6Addr::from_bits(bits), Ipv6Addr::from_bits(hosts));
                (IpAddr::V6(address), IpAddr::V6(hosts))
            } else {
                let [address, hosts] = [bits, hosts].map(|bits| Ipv4Addr::from_bits(bits as u32));
                (IpAddr::V4(address), IpAddr::V4(hosts))
            };
            let length = length.min(bits_of(address));
            let least = if is_six { 16 } else { 8 };
            // The address's own bits in front, others behind.
            let hosted = match (mask(address, length), network, mask(network, length)) {
                (IpAddr::V4(own), IpAddr::V4(other), IpAddr::V4(masked)) => IpAddr::V4(
                    Ipv4Addr::from_bits(own.to_bits() | (other.to_bits() ^ masked.to_bits()))),
                (IpAddr::V6(own), IpAddr::V6(other), IpAddr::V6(masked)) => IpAddr::V6(
                    Ipv6Addr::from_bits(own.to_bits() | (other.to_bits() ^ masked.to_bits()))),
                _ => unreachable!(),
            };
            let sought = Network::parse(&address.to_string()).unwrap();
            let stored = written(hosted, length);
            let holder = Network::parse(&stored).unwrap();
            prop_assert!(holder.holds(sought), "{stored} {address}");
            prop_assert!(sought.holders().any(|text| text == holder.to_text()));
            prop_assert!(
                length < least
                    || !stored.contains('/')
                    || sought.holder_patterns().iter().any(|pattern| like(pattern, &stored)),
                "{stored} {address}"
            );
        }
    }
}
