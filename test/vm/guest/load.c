/*
 * Runs in the guest until it gets SIGTERM: threads that encrypt and decrypt with cbc(aes) through AF_ALG, under keys that
 * they replace now and then, and threads that encrypt and decrypt with an RSA key of the kernel's, whose private half the
 * kernel has from a file (PKCS#8). Every answer is compared.
 *
 * Output, one fact a line: "FAIL what", "STUCK what", "LOAD cbc=n rsa=n", "CHECKS n FAILED m".
 */
#define _GNU_SOURCE
#include <linux/keyctl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>

#include "af_alg.h"

enum { KEY_REQUESTS = 40, RSA_BYTES_MAX = 512, MESSAGE_BYTES = 100 };

static atomic_int stopping, cbc_checks, rsa_checks;
static const char *rsa_file;
static int rsa_threads = 1;

static void fail(const char *what, const char *why) {
  if (atomic_fetch_add(&failures, 1) < FAILURES_SHOWN) {
    printf("FAIL load: %s: %s\n", what, why);
    fflush(stdout);
  }
}

static void check_cbc(struct worker *worker, const struct transformation *t, int *op) {
  struct request request = { .phase = "load", .decrypt = (int)below(worker, 2) };
  struct layout source, target;
  request.length = 16 * (1 + below(worker, (below(worker, 8) == 0 ? options.max : 2048) / 16));
  request.sending = SEND_ONE;
  request.receiving = RECEIVE_ONE;
  fill(worker, request.iv, 16);
  fill(worker, worker->plain, request.length);
  aes_cbc_encrypt(&t->oracle, request.iv, worker->plain, worker->cipher, request.length);
  lay_out(worker, &request, &source, &target);
  memset(worker->target, GUARD, target.span + 64);
  copy_in(&source, request.decrypt ? worker->cipher : worker->plain);
  int error = send_request(worker, *op, &request, &source);
  if (error == 0) error = receive_answer(*op, &request, &target);
  atomic_fetch_add(&cbc_checks, 1);
  if (error < 0) {
    fail("cbc", strerror(-error));
    close(*op);
    *op = operation_open(t);
    return;
  }
  copy_out(&target, worker->answer);
  if (memcmp(worker->answer, request.decrypt ? worker->plain : worker->cipher, request.length) != 0) {
    fail("cbc", "a wrong answer");
  }
  if (!guards_hold(worker->target, &target)) fail("cbc", "bytes outside the destination were overwritten");
}

static void *cbc_main(void *argument) {
  struct worker *worker = argument;
  struct transformation t;
  transformation_open(&t, worker, 16 + 8 * (int)below(worker, 3));
  int op = operation_open(&t);
  for (int i = 1; !stopping; i++) {
    check_cbc(worker, &t, &op);
    if (i % KEY_REQUESTS != 0) continue;
    /* The old sessions are destroyed and others created. */
    close(op);
    set_key(&t, worker, 16 + 8 * (int)below(worker, 3));
    op = operation_open(&t);
  }
  close(op);
  close(t.socket);
  return NULL;
}

static long pkey(int operation, int key, const uint8_t *in, size_t in_length, uint8_t *out, size_t out_length) {
  struct keyctl_pkey_params params = { .key_id = key, .in_len = in_length, .out_len = out_length };
  return syscall(SYS_keyctl, operation, &params, "enc=pkcs1", in, out);
}

static int rsa_key(void) {
  static uint8_t der[8192];
  int file = open(rsa_file, O_RDONLY);
  ssize_t length = file < 0 ? -1 : read(file, der, sizeof der);
  if (length <= 0) die(rsa_file);
  close(file);
  long key = syscall(SYS_add_key, "asymmetric", "load", der, (size_t)length, KEY_SPEC_PROCESS_KEYRING);
  if (key < 0) die("add_key");
  return (int)key;
}

static void *rsa_main(void *argument) {
  struct worker *worker = argument;
  uint8_t message[MESSAGE_BYTES], sealed[RSA_BYTES_MAX], opened[RSA_BYTES_MAX];
  int key = rsa_key();
  /* The kernel refuses more room for an answer than it can use. */
  struct keyctl_pkey_query sizes;
  if (syscall(SYS_keyctl, KEYCTL_PKEY_QUERY, key, 0, "enc=pkcs1", &sizes) < 0) die("KEYCTL_PKEY_QUERY");
  if (sizes.max_enc_size > sizeof sealed || sizes.max_dec_size > sizeof opened) errno = EMSGSIZE, die(rsa_file);
  while (!stopping) {
    fill(worker, message, sizeof message);
    long length = pkey(KEYCTL_PKEY_ENCRYPT, key, message, sizeof message, sealed, sizes.max_enc_size);
    long opened_length = length < 0 ? -1 : pkey(KEYCTL_PKEY_DECRYPT, key, sealed, (size_t)length, opened, sizes.max_dec_size);
    atomic_fetch_add(&rsa_checks, 1);
    if (opened_length < 0) fail("rsa", strerror(errno));
    else if (opened_length != sizeof message || memcmp(opened, message, sizeof message) != 0) fail("rsa", "a wrong answer");
  }
  return NULL;
}

/* A request that is never answered cannot be interrupted, so the guest is switched off to say so at once. */
static void *watchdog_main(void *argument) {
  int seen_cbc = -1, seen_rsa = -1, idle_s = 0;
  (void)argument;
  for (;;) {
    sleep(1);
    int is_idle = cbc_checks == seen_cbc || (rsa_threads > 0 && rsa_checks == seen_rsa);
    idle_s = is_idle ? idle_s + 1 : 0;
    seen_cbc = cbc_checks;
    seen_rsa = rsa_checks;
    if (idle_s < options.stall_s) continue;
    printf("STUCK no answer in %d s after cbc=%d rsa=%d\n", idle_s, seen_cbc, seen_rsa);
    fflush(stdout);
    sleep(1);
    reboot(RB_POWER_OFF);
  }
  return NULL;
}

static void stop(int signal) {
  (void)signal;
  stopping = 1;
}

int main(int argc, char **argv) {
  static struct worker workers[THREADS_MAX];
  pthread_t watchdog, threads[THREADS_MAX];
  for (int i = 1; i < argc; i++) {
    if (strncmp(argv[i], "--driver=", 9) == 0) options.driver = argv[i] + 9;
    else if (strncmp(argv[i], "--threads=", 10) == 0) options.threads = atoi(argv[i] + 10);
    else if (strncmp(argv[i], "--rsa-threads=", 14) == 0) rsa_threads = atoi(argv[i] + 14);
    else if (strncmp(argv[i], "--rsa=", 6) == 0) rsa_file = argv[i] + 6;
    else if (strncmp(argv[i], "--seed=", 7) == 0) options.seed = strtoull(argv[i] + 7, NULL, 0);
    else errno = EINVAL, die(argv[i]);
  }
  options.max = 65536;
  if (options.threads < 1 || options.threads + rsa_threads > THREADS_MAX) errno = EINVAL, die("--threads");
  signal(SIGTERM, stop);
  aes_prepare();
  if (!aes_oracle_is_sound()) errno = EILSEQ, die("the AES oracle contradicts FIPS 197");
  if (pthread_create(&watchdog, NULL, watchdog_main, NULL) != 0) die("pthread_create");
  int count = options.threads + rsa_threads;
  for (int i = 0; i < count; i++) {
    worker_open(&workers[i], options.seed + (uint64_t)i);
    if (pthread_create(&threads[i], NULL, i < options.threads ? cbc_main : rsa_main, &workers[i]) != 0) die("pthread_create");
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  printf("LOAD cbc=%d rsa=%d\n", cbc_checks, rsa_checks);
  printf("CHECKS %d FAILED %d\n", cbc_checks + rsa_checks, failures);
  fflush(stdout);
  return failures != 0;
}
