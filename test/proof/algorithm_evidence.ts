/**
 * What the answers of each algorithm are checked against: standards whose published answers go through the ring, and
 * second implementations. The documentation's tables of algorithms are made from this.
 *
 * @module
 */

/** By service, then by the algorithm's name in `src/engine/algorithms.ts`. */
export const EVIDENCE: Readonly<Record<"cipher" | "hash" | "mac" | "aead", Readonly<Record<string, string>>>> = {
  cipher: {
    "ARC4": "RFC 6229",
    "AES-ECB": "SP 800-38A; CAVP",
    "AES-CBC": "SP 800-38A; CAVP",
    "AES-CTR": "SP 800-38A",
    "DES-ECB": "FIPS 81; CAVP (3DES files with three equal keys)",
    "DES-CBC": "FIPS 81; CAVP (3DES files with three equal keys)",
    "3DES-ECB": "SP 800-67; CAVP",
    "3DES-CBC": "SP 800-67; CAVP",
    "3DES-CTR": "CAVP's ECB files",
    "KASUMI-F8": "3GPP TS 35.203; model",
    "SNOW3G-UEA2": "3GPP TS 35.217; model",
    "AES-F8": "RFC 3711; model for longer keys",
    "AES-XTS": "IEEE 1619; CAVP",
    "ZUC-EEA3": "3GPP TS 35.223; model",
  },
  hash: {
    "MD5": "RFC 1321",
    "SHA1": "FIPS 180-2; CAVP",
    "SHA-224": "RFC 3874; CAVP",
    "SHA-256": "FIPS 180-2; CAVP",
    "SHA-384": "FIPS 180-2; CAVP",
    "SHA-512": "FIPS 180-2; CAVP",
    "SHA3-224": "NIST examples; CAVP",
    "SHA3-256": "NIST examples; CAVP",
    "SHA3-384": "NIST examples; CAVP",
    "SHA3-512": "NIST examples; CAVP",
    "SHAKE128": "NIST examples; CAVP",
    "SHAKE256": "NIST examples; CAVP",
  },
  mac: {
    "HMAC-MD5": "RFC 2202",
    "HMAC-SHA1": "RFC 2202",
    "HMAC-SHA-224": "RFC 4231",
    "HMAC-SHA-256": "RFC 4231",
    "HMAC-SHA-384": "RFC 4231",
    "HMAC-SHA-512": "RFC 4231",
    "CMAC-3DES": "SP 800-38B",
    "CMAC-AES": "SP 800-38B",
    "KASUMI-F9": "3GPP TS 35.203; model",
    "SNOW3G-UIA2": "3GPP TS 35.217; model",
    "GMAC-AES": "GCM specification; IEEE 802.1AE; CAVP",
    "GMAC-Twofish": "model",
    "CBCMAC-AES": "RFC 3610; CAVP's CBC files",
    "XCBC-AES": "RFC 3566",
    "ZUC-EIA3": "3GPP TS 35.223; model",
  },
  aead: {
    "AES-GCM": "GCM specification; CAVP",
    "AES-CCM": "SP 800-38C; RFC 3610; CAVP",
    "ChaCha20-Poly1305": "RFC 8439; BoringSSL's and OpenSSL's files",
  },
};
