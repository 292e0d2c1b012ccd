/*
 * The AF_ALG side of the check program: keys in the kernel, memory cut into pieces, and a request sent and received in
 * any of several ways. How the pieces lie in memory is how they reach the device: a sent piece is copied into pages of
 * the kernel's (so its pieces follow the pages), a spliced piece and every piece of the answer keep their own place.
 */
#ifndef AF_ALG_H
#define AF_ALG_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "aes_oracle.h"

#ifndef SOL_ALG
#define SOL_ALG 279
#endif

enum { PIECES_MAX = 64, THREADS_MAX = 32, FAILURES_SHOWN = 10, PAGE = 4096, GUARD = 0xa5 };
enum sending { SEND_ONE, SEND_IOVECS, SEND_MORE, SEND_SPLICE, SEND_MIXED, SENDINGS };
enum receiving { RECEIVE_ONE, RECEIVE_ODD, RECEIVE_IOVECS, RECEIVE_PARTS, RECEIVE_IN_PLACE, RECEIVINGS };
static const char *const sending_names[] = { "one", "iovecs", "more", "splice", "mixed" };
static const char *const receiving_names[] = { "one", "odd", "iovecs", "parts", "in-place" };

static struct {
  const char *driver;
  int threads, pieces, parts, corrupt, stall_s;
  size_t max;
  uint64_t seed;
} options = { "virtio_crypto_aes_cbc", 4, 40, 1, 0, 20, 131072, 1 };

/* A key in the kernel (one transformation) and the same key in the oracle. */
struct transformation {
  int socket;
  int key_length;
  struct aes_key oracle;
};

/* What one thread works with; threads share nothing but transformations. */
struct worker {
  uint64_t random;
  int pipe[2];
  size_t arena_length;
  uint8_t *plain, *cipher, *answer, *source, *target;
};

struct layout {
  struct iovec piece[PIECES_MAX];
  int count;
  size_t span; /* bytes of the arena from its start to the end of the last piece */
};

struct request {
  const char *phase;
  int decrypt;
  size_t length;
  enum sending sending;
  enum receiving receiving;
  uint8_t iv[16];
};

static atomic_int checks, failures;

static void die(const char *what) {
  printf("FAIL %s: %s\nCHECKS %d FAILED %d\n", what, strerror(errno), checks + 1, failures + 1);
  fflush(stdout);
  _exit(1);
}

static uint64_t next_random(struct worker *worker) {
  uint64_t z = worker->random += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static size_t below(struct worker *worker, size_t bound) {
  return (size_t)(next_random(worker) % bound);
}

static void fill(struct worker *worker, uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i += 8) {
    uint64_t r = next_random(worker);
    memcpy(bytes + i, &r, length - i < 8 ? length - i : 8);
  }
}

static uint8_t *map_bytes(size_t length) {
  void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  return p;
}

static void worker_open(struct worker *worker, uint64_t seed) {
  worker->random = seed;
  worker->arena_length = options.max + (size_t)PIECES_MAX * 2 * PAGE;
  worker->plain = map_bytes(options.max + 16);
  worker->cipher = map_bytes(options.max + 16);
  worker->answer = map_bytes(options.max + 16);
  worker->source = map_bytes(worker->arena_length);
  worker->target = map_bytes(worker->arena_length);
  if (pipe(worker->pipe) < 0 || fcntl(worker->pipe[1], F_SETPIPE_SZ, 256 * PAGE) < 0) die("pipe");
}

static void set_key(struct transformation *t, struct worker *worker, int key_length) {
  uint8_t key[32];
  fill(worker, key, sizeof key);
  if (setsockopt(t->socket, SOL_ALG, ALG_SET_KEY, key, (socklen_t)key_length) < 0) die("ALG_SET_KEY");
  t->key_length = key_length;
  aes_expand(&t->oracle, key, key_length);
}

static void transformation_open(struct transformation *t, struct worker *worker, int key_length) {
  struct sockaddr_alg address = { .salg_family = AF_ALG, .salg_type = "skcipher" };
  snprintf((char *)address.salg_name, sizeof address.salg_name, "%s", options.driver);
  t->socket = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (t->socket < 0) die("socket(AF_ALG)");
  if (bind(t->socket, (struct sockaddr *)&address, sizeof address) < 0) die(options.driver);
  set_key(t, worker, key_length);
}

static int operation_open(const struct transformation *t) {
  int op = accept4(t->socket, NULL, NULL, SOCK_CLOEXEC);
  if (op < 0) die("accept");
  return op;
}

/* Cuts `length` bytes into at most `pieces` pieces that stand at odd places of the arena with gaps between them. */
static void scatter(struct worker *worker, struct layout *layout, uint8_t *arena, size_t length, int pieces) {
  size_t left = length, at = below(worker, 97);
  layout->count = 0;
  while (left > 0) {
    int last = layout->count + 1 >= pieces;
    size_t mean = length / (size_t)pieces + 1, take = last ? left : 1 + below(worker, 2 * mean);
    if (take > left) take = left;
    layout->piece[layout->count++] = (struct iovec){ arena + at, take };
    at += take;
    layout->span = at;
    left -= take;
    at += below(worker, 4) == 0 ? PAGE - at % PAGE : below(worker, 61);
  }
}

static void whole(struct layout *layout, uint8_t *arena, size_t offset, size_t length) {
  layout->piece[0] = (struct iovec){ arena + offset, length };
  layout->count = 1;
  layout->span = offset + length;
}

static void copy_in(const struct layout *layout, const uint8_t *bytes) {
  for (int i = 0; i < layout->count; bytes += layout->piece[i++].iov_len) {
    memcpy(layout->piece[i].iov_base, bytes, layout->piece[i].iov_len);
  }
}

static void copy_out(const struct layout *layout, uint8_t *bytes) {
  for (int i = 0; i < layout->count; bytes += layout->piece[i++].iov_len) {
    memcpy(bytes, layout->piece[i].iov_base, layout->piece[i].iov_len);
  }
}

/* Starts a request: operation and IV travel as control messages; the data may come with them or later. */
static int send_start(int op, const struct request *request, const struct iovec *pieces, int count, int flags) {
  uint8_t control[CMSG_SPACE(4) + CMSG_SPACE(sizeof(struct af_alg_iv) + 16)] = { 0 };
  struct msghdr message = { .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  uint32_t operation = request->decrypt ? ALG_OP_DECRYPT : ALG_OP_ENCRYPT;
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
  memcpy(iv->iv, request->iv, 16);
  message.msg_iov = (struct iovec *)(uintptr_t)pieces;
  message.msg_iovlen = (size_t)count;
  return sendmsg(op, &message, flags) < 0 ? -errno : 0;
}

/* Hands the piece's own pages to the kernel: they reach the device where they lie, without a copy. */
static int send_spliced(struct worker *worker, int op, const struct iovec *piece) {
  size_t left = piece->iov_len;
  if (vmsplice(worker->pipe[1], piece, 1, 0) != (ssize_t)left) return -errno;
  while (left > 0) {
    ssize_t moved = splice(worker->pipe[0], NULL, op, NULL, left, SPLICE_F_MORE);
    if (moved <= 0) return -errno;
    left -= (size_t)moved;
  }
  return 0;
}

static int send_request(struct worker *worker, int op, const struct request *request, const struct layout *source) {
  int error;
  if (request->sending == SEND_ONE || request->sending == SEND_IOVECS) {
    return send_start(op, request, source->piece, source->count, 0);
  }
  if ((error = send_start(op, request, NULL, 0, MSG_MORE)) < 0) return error;
  for (int i = 0; i < source->count; i++) {
    const struct iovec *piece = &source->piece[i];
    int spliced = request->sending == SEND_SPLICE || (request->sending == SEND_MIXED && i % 2 == 0);
    if (spliced) {
      error = send_spliced(worker, op, piece);
    } else if (send(op, piece->iov_base, piece->iov_len, MSG_MORE) != (ssize_t)piece->iov_len) {
      error = -errno;
    }
    if (error < 0) return error;
  }
  /* An empty message without MSG_MORE ends the request. */
  return send(op, NULL, 0, 0) < 0 ? -errno : 0;
}

/*
 * RECEIVE_PARTS reads piece by piece: each read is a request of its own whose IV the driver chains from the last.
 * Kernels leave the pages that the first read used up in the list of the second, as descriptors of length 0 at the end
 * of the source; not every device takes those, so --parts=0 leaves this way of reading out.
 */
static int receive_answer(int op, const struct request *request, const struct layout *target) {
  if (request->receiving == RECEIVE_PARTS) {
    for (int i = 0; i < target->count; i++) {
      ssize_t got = recv(op, target->piece[i].iov_base, target->piece[i].iov_len, 0);
      if (got != (ssize_t)target->piece[i].iov_len) return got < 0 ? -errno : -EMSGSIZE;
    }
    return 0;
  }
  struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)target->piece, .msg_iovlen = (size_t)target->count };
  ssize_t got = recvmsg(op, &message, 0);
  if (got < 0) return -errno;
  return (size_t)got == request->length ? 0 : -EMSGSIZE;
}

static void lay_out(struct worker *worker, const struct request *request, struct layout *source,
                    struct layout *target) {
  size_t length = request->length;
  if (request->sending == SEND_ONE) whole(source, worker->source, 0, length);
  else scatter(worker, source, worker->source, length, options.pieces);
  switch (request->receiving) {
  case RECEIVE_IN_PLACE:
    *target = *source;
    break;
  case RECEIVE_ODD:
    whole(target, worker->target, 1 + below(worker, PAGE - 1), length);
    break;
  case RECEIVE_IOVECS:
    scatter(worker, target, worker->target, length, options.pieces);
    break;
  case RECEIVE_PARTS: {
    /* A read in the middle of a request must be of whole blocks. */
    size_t blocks = length / 16, first = blocks > 1 ? 1 + below(worker, blocks - 1) : blocks;
    target->piece[0] = (struct iovec){ worker->target + 3, first * 16 };
    target->piece[1] = (struct iovec){ worker->target + 3 + first * 16, length - first * 16 };
    target->count = first == blocks ? 1 : 2;
    target->span = 3 + length;
    break;
  }
  default:
    whole(target, worker->target, 0, length);
  }
}

/* Bytes around the pieces must be as they were: the device may write nowhere else. */
static int guards_hold(const uint8_t *arena, const struct layout *layout) {
  const uint8_t *at = arena;
  for (int i = 0; i <= layout->count; i++) {
    const uint8_t *end = i < layout->count ? layout->piece[i].iov_base : arena + layout->span + 64;
    for (; at < end; at++) {
      if (*at != GUARD) return 0;
    }
    if (i < layout->count) at += layout->piece[i].iov_len;
  }
  return 1;
}

#endif
