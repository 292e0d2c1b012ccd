/*
 * What the showcase needs in its guest and no small program of Debian does:
 *
 *   sectors DRIVER encrypt|decrypt KEY      standard input to standard output through AF_ALG, as dm-crypt's plain64 with
 *                                           512-byte sectors has it: each sector by itself, its number the IV
 *   priority NAME DRIVER NUMBER             the priority by which the kernel chooses a driver (root; module crypto_user)
 *   ecryptfs-key SIGNATURE KEY              a key of 16 bytes for eCryptfs, into the user's session keyring
 *
 * KEY is hexadecimal, DRIVER a driver's name or an algorithm's ("cbc(aes)": whichever driver the kernel prefers).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/cryptouser.h>
#include <linux/if_alg.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512, KEY_MAX = 32 };

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static void die_of(int error, const char *what) {
  errno = error;
  die(what);
}

static int read_key(uint8_t *key, const char *text) {
  size_t length = strlen(text) / 2;
  if (length > KEY_MAX || strlen(text) % 2 != 0) die_of(EINVAL, "key");
  for (size_t i = 0; i < length; i++) {
    unsigned byte;
    if (sscanf(text + 2 * i, "%2x", &byte) != 1) die_of(EINVAL, "key");
    key[i] = (uint8_t)byte;
  }
  return (int)length;
}

static void copy_name(char *to, size_t room, const char *name) {
  if (strlen(name) >= room) die_of(ENAMETOOLONG, name);
  memcpy(to, name, strlen(name) + 1);
}

/* One sector through the kernel. The IV is the sector's number, little endian, and zeros. */
static void crypt_sector(int op, uint32_t operation, uint64_t number, uint8_t *sector) {
  uint8_t control[CMSG_SPACE(4) + CMSG_SPACE(sizeof(struct af_alg_iv) + 16)] = { 0 };
  struct iovec piece = { sector, SECTOR };
  struct msghdr message = { .msg_control = control, .msg_controllen = sizeof control, .msg_iov = &piece,
                            .msg_iovlen = 1 };
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_ALG;
  header->cmsg_type = ALG_SET_OP;
  header->cmsg_len = CMSG_LEN(4);
  memcpy(CMSG_DATA(header), &operation, 4);
  header = CMSG_NXTHDR(&message, header);
  header->cmsg_level = SOL_ALG;
  header->cmsg_type = ALG_SET_IV;
  header->cmsg_len = CMSG_LEN(sizeof(struct af_alg_iv) + 16);
  struct af_alg_iv *iv = (struct af_alg_iv *)CMSG_DATA(header);
  iv->ivlen = 16;
  memcpy(iv->iv, &number, sizeof number);
  if (sendmsg(op, &message, 0) != SECTOR) die("sendmsg");
  if (read(op, sector, SECTOR) != SECTOR) die("read of the answer");
}

static void sectors(const char *driver, const char *direction, const char *key_text) {
  struct sockaddr_alg address = { .salg_family = AF_ALG, .salg_type = "skcipher" };
  uint8_t key[KEY_MAX], sector[SECTOR];
  int key_length = read_key(key, key_text);
  uint32_t operation = strcmp(direction, "decrypt") == 0 ? ALG_OP_DECRYPT : ALG_OP_ENCRYPT;
  copy_name((char *)address.salg_name, sizeof address.salg_name, driver);
  int transformation = socket(AF_ALG, SOCK_SEQPACKET, 0);
  if (transformation < 0) die("socket(AF_ALG)");
  if (bind(transformation, (struct sockaddr *)&address, sizeof address) < 0) die(driver);
  if (setsockopt(transformation, SOL_ALG, ALG_SET_KEY, key, (socklen_t)key_length) < 0) die("ALG_SET_KEY");
  int op = accept(transformation, NULL, NULL);
  if (op < 0) die("accept");
  for (uint64_t number = 0; fread(sector, SECTOR, 1, stdin) == 1; number++) {
    crypt_sector(op, operation, number, sector);
    if (fwrite(sector, SECTOR, 1, stdout) != 1) die("standard output");
  }
}

static void set_priority(const char *name, const char *driver, const char *number) {
  struct {
    struct nlmsghdr header;
    struct crypto_user_alg algorithm;
    struct nlattr attribute;
    uint32_t priority;
  } request = { .header = { .nlmsg_len = sizeof request, .nlmsg_type = CRYPTO_MSG_UPDATEALG,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
                .attribute = { sizeof(struct nlattr) + 4, CRYPTOCFGA_PRIORITY_VAL },
                .priority = (uint32_t)strtoul(number, NULL, 10) };
  struct {
    struct nlmsghdr header;
    struct nlmsgerr result;
    uint8_t rest[1024];
  } answer;
  copy_name(request.algorithm.cru_name, sizeof request.algorithm.cru_name, name);
  copy_name(request.algorithm.cru_driver_name, sizeof request.algorithm.cru_driver_name, driver);
  int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO);
  if (netlink < 0) die("socket(NETLINK_CRYPTO)");
  if (send(netlink, &request, sizeof request, 0) < 0) die("send");
  if (recv(netlink, &answer, sizeof answer, 0) < 0) die("recv");
  if (answer.result.error != 0) die_of(-answer.result.error, driver);
}

/* The authentication token of include/linux/ecryptfs.h (version 0.4, a password's), as far as a given key needs it. */
static void add_ecryptfs_key(const char *signature, const char *key_text) {
  struct {
    uint16_t version, type;
    uint32_t flags, session_key[3];
    uint8_t encrypted_key[512], decrypted_key[64], reserved[32];
    uint32_t password_bytes, hash, iterations, key_bytes, key_flags;
    uint8_t key[64], signature[17], salt[8], rest[615];
  } token = { .version = 4, .key_flags = 2 /* the key is here, not a passphrase */ };
  token.key_bytes = (uint32_t)read_key(token.key, key_text);
  copy_name((char *)token.signature, sizeof token.signature, signature);
  if (syscall(SYS_add_key, "user", signature, &token, sizeof token, KEY_SPEC_USER_SESSION_KEYRING) < 0) die("add_key");
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "sectors") == 0) sectors(argv[2], argv[3], argv[4]);
  else if (argc == 5 && strcmp(argv[1], "priority") == 0) set_priority(argv[2], argv[3], argv[4]);
  else if (argc == 4 && strcmp(argv[1], "ecryptfs-key") == 0) add_ecryptfs_key(argv[2], argv[3]);
  else return 2;
  return 0;
}
