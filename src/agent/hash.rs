//! The hashes that names and cookies are made of. PURE.

use super::api::Key;

/// High half word of the cookies of our flows: what lacks it is not ours.
pub const COOKIE: u64 = 0xd9a6 << 48;
/// The bits of a cookie that say that it is ours.
pub const COOKIE_MASK: u64 = 0xffff << 48;

/// FNV-1a, 32 bits.
#[must_use]
pub fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// FNV-1a, 64 bits.
#[must_use]
pub fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The cookie that DPF's controller gives to the flows of a chain (`internal/sfccontroller`, v24.10.0-rc.6).
#[must_use]
pub fn dpf_cookie(chain: &Key) -> u64 {
    fnv64(chain.to_string().as_bytes())
}

/// The cookie of our flows of a chain.
#[must_use]
pub fn cookie(chain: &Key) -> u64 {
    COOKIE | dpf_cookie(chain) & !COOKIE_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_published() {
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(dpf_cookie(&Key::new("default", "chain1")), 0x6209_6e3f_0185_953b);
        assert_eq!(dpf_cookie(&Key::new("dpf-operator-system", "hbn-to-fabric-worker1")), 0x425c_c7e3_279a_50ad);
        assert_eq!(fnv32(b"dpf-operator-system/patch1"), 0x4845_e2ea);
    }

    #[test]
    fn ours_are_told_apart() {
        assert_eq!(cookie(&Key::new("default", "chain1")), 0xd9a6_6e3f_0185_953b);
    }
}
