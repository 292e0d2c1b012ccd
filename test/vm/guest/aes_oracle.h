/*
 * AES in CBC mode, encryption only: the oracle that the device's answers are compared with. It is computed from the
 * definition of the field GF(2^8) in FIPS 197 and shares nothing with the kernel or with OpenSSL. Decryption needs no
 * code here: a check encrypts a plaintext of its own and asks the device to give it back.
 * Not constant time, never to be used outside a test.
 */
#ifndef AES_ORACLE_H
#define AES_ORACLE_H

#include <stdint.h>
#include <string.h>

struct aes_key {
  uint32_t words[60];
  int rounds;
};

static uint8_t aes_sbox[256];
static uint32_t aes_columns[256]; /* MixColumns of an S-box output that stands in row 0 */

static uint8_t aes_double(uint8_t x) {
  return (uint8_t)((x << 1) ^ (x & 0x80 ? 0x1b : 0));
}

static uint32_t aes_rotate(uint32_t x, int bits) {
  return (x >> bits) | (x << (32 - bits));
}

/* Walks the field by its generator 3 (p) and by the generator's inverse (q), so that q is always the inverse of p. */
static void aes_prepare(void) {
  uint8_t p = 1, q = 1;
  do {
    p ^= aes_double(p);
    q ^= (uint8_t)(q << 1);
    q ^= (uint8_t)(q << 2);
    q ^= (uint8_t)(q << 4);
    if (q & 0x80) q ^= 0x09;
    uint8_t s = 0x63;
    for (int turn = 0; turn <= 4; turn++) s ^= (uint8_t)((q << turn) | (q >> (8 - turn)));
    aes_sbox[p] = s;
  } while (p != 1);
  aes_sbox[0] = 0x63;
  for (int i = 0; i < 256; i++) {
    uint8_t s = aes_sbox[i], d = aes_double(s);
    aes_columns[i] = (uint32_t)d << 24 | (uint32_t)s << 16 | (uint32_t)s << 8 | (uint32_t)(d ^ s);
  }
}

static uint32_t aes_load(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t aes_substitute(uint32_t w) {
  return (uint32_t)aes_sbox[w >> 24] << 24 | (uint32_t)aes_sbox[w >> 16 & 255] << 16 |
         (uint32_t)aes_sbox[w >> 8 & 255] << 8 | aes_sbox[w & 255];
}

static void aes_expand(struct aes_key *key, const uint8_t *bytes, int length) {
  int words = length / 4;
  uint8_t constant = 1;
  key->rounds = words + 6;
  for (int i = 0; i < words; i++) key->words[i] = aes_load(bytes + 4 * i);
  for (int i = words; i < 4 * (key->rounds + 1); i++) {
    uint32_t w = key->words[i - 1];
    if (i % words == 0) {
      w = aes_substitute(aes_rotate(w, 24)) ^ (uint32_t)constant << 24;
      constant = aes_double(constant);
    } else if (words > 6 && i % words == 4) {
      w = aes_substitute(w);
    }
    key->words[i] = key->words[i - words] ^ w;
  }
}

static void aes_encrypt_block(const struct aes_key *key, uint32_t s[4]) {
  const uint32_t *k = key->words;
  uint32_t t[4];
  for (int c = 0; c < 4; c++) s[c] ^= k[c];
  for (int round = 1; round < key->rounds; round++) {
    for (int c = 0; c < 4; c++) {
      t[c] = aes_columns[s[c] >> 24] ^ aes_rotate(aes_columns[s[(c + 1) & 3] >> 16 & 255], 8) ^
             aes_rotate(aes_columns[s[(c + 2) & 3] >> 8 & 255], 16) ^
             aes_rotate(aes_columns[s[(c + 3) & 3] & 255], 24) ^ k[4 * round + c];
    }
    memcpy(s, t, sizeof t);
  }
  for (int c = 0; c < 4; c++) {
    t[c] = (uint32_t)aes_sbox[s[c] >> 24] << 24 | (uint32_t)aes_sbox[s[(c + 1) & 3] >> 16 & 255] << 16 |
           (uint32_t)aes_sbox[s[(c + 2) & 3] >> 8 & 255] << 8 | aes_sbox[s[(c + 3) & 3] & 255];
  }
  for (int c = 0; c < 4; c++) s[c] = t[c] ^ k[4 * key->rounds + c];
}

static void aes_cbc_encrypt(const struct aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                            size_t length) {
  uint32_t s[4];
  for (int c = 0; c < 4; c++) s[c] = aes_load(iv + 4 * c);
  for (size_t at = 0; at < length; at += 16) {
    for (int c = 0; c < 4; c++) s[c] ^= aes_load(in + at + 4 * c);
    aes_encrypt_block(key, s);
    for (int c = 0; c < 4; c++) {
      for (int b = 0; b < 4; b++) out[at + 4 * c + b] = (uint8_t)(s[c] >> (24 - 8 * b));
    }
  }
}

/* FIPS 197, appendix C: the oracle answers for itself before it judges others. */
static int aes_oracle_is_sound(void) {
  static const uint8_t expected[3][16] = {
    { 0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a },
    { 0xdd, 0xa9, 0x7c, 0xa4, 0x86, 0x4c, 0xdf, 0xe0, 0x6e, 0xaf, 0x70, 0xa0, 0xec, 0x0d, 0x71, 0x91 },
    { 0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf, 0xea, 0xfc, 0x49, 0x90, 0x4b, 0x49, 0x60, 0x89 },
  };
  uint8_t bytes[32], plain[16], out[16], zero[16] = { 0 };
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
  for (int i = 0; i < 16; i++) plain[i] = (uint8_t)(i * 0x11);
  for (int i = 0; i < 3; i++) {
    struct aes_key key;
    aes_expand(&key, bytes, 16 + 8 * i);
    aes_cbc_encrypt(&key, zero, plain, out, 16);
    if (memcmp(out, expected[i], 16) != 0) return 0;
  }
  return 1;
}

#endif
