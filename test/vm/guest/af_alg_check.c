/*
 * Runs in the guest: sends cbc(aes) requests of every shape to one kernel driver, named on the command line, through
 * AF_ALG sockets and compares the answers with an AES of its own (aes_oracle.h). Nothing here falls back to another
 * driver: the socket is bound to the driver's name.
 *
 * Output, one fact a line: "PHASE name checks=n failed=m ms=t", "FAIL what", "STUCK what", "CHECKS n FAILED m".
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <time.h>

#include "af_alg.h"

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

/* The request that was begun last: when the device stops answering it is the likely culprit. */
static struct request last_request = { .phase = "start" };

static void print_request(const char *word, const struct request *request) {
  printf("%s %s: %s length=%zu send=%s receive=%s: ", word, request->phase, request->decrypt ? "decrypt" : "encrypt",
         request->length, sending_names[request->sending], receiving_names[request->receiving]);
}

static void report(const struct request *request, int key_length, const char *what) {
  if (atomic_fetch_add(&failures, 1) >= FAILURES_SHOWN) return;
  pthread_mutex_lock(&output);
  print_request("FAIL", request);
  printf("key of %d bits: %s\n", key_length * 8, what);
  fflush(stdout);
  pthread_mutex_unlock(&output);
}

/*
 * One check: a random plaintext through the oracle, the request through the device, and the two compared. After an
 * error the operation's socket may hold half a request, so it is replaced.
 */
static void check(struct worker *worker, const struct transformation *t, int *op, const struct request *request) {
  struct layout source, target;
  char what[100];
  pthread_mutex_lock(&output);
  last_request = *request;
  pthread_mutex_unlock(&output);
  fill(worker, worker->plain, request->length);
  aes_cbc_encrypt(&t->oracle, request->iv, worker->plain, worker->cipher, request->length);
  const uint8_t *input = request->decrypt ? worker->cipher : worker->plain;
  const uint8_t *expected = request->decrypt ? worker->plain : worker->cipher;
  lay_out(worker, request, &source, &target);
  uint8_t *arena = request->receiving == RECEIVE_IN_PLACE ? worker->source : worker->target;
  memset(arena, GUARD, target.span + 64);
  copy_in(&source, input);
  int error = send_request(worker, *op, request, &source);
  if (error == 0) error = receive_answer(*op, request, &target);
  int number = atomic_fetch_add(&checks, 1) + 1;
  if (error < 0) {
    report(request, t->key_length, strerror(-error));
    close(*op);
    *op = operation_open(t);
    return;
  }
  copy_out(&target, worker->answer);
  if (number == options.corrupt) worker->answer[request->length / 2] ^= 1;
  for (size_t i = 0; i < request->length; i++) {
    if (worker->answer[i] == expected[i]) continue;
    snprintf(what, sizeof what, "byte %zu is %02x, not %02x", i, worker->answer[i], expected[i]);
    report(request, t->key_length, what);
    return;
  }
  if (!guards_hold(arena, &target)) report(request, t->key_length, "bytes outside the destination were overwritten");
}

static struct request random_request(struct worker *worker, const char *phase, size_t bound) {
  struct request request = { .phase = phase, .decrypt = (int)below(worker, 2) };
  request.length = 16 * (1 + below(worker, bound / 16));
  request.sending = below(worker, SENDINGS);
  request.receiving = below(worker, request.sending == SEND_SPLICE ? RECEIVINGS : RECEIVE_IN_PLACE);
  if (request.receiving == RECEIVE_PARTS && !options.parts) request.receiving = RECEIVE_ODD;
  fill(worker, request.iv, 16);
  return request;
}

static void phase_grid(struct worker *worker) {
  static const size_t lengths[] = { 16,   32,   48,   64,   240,   256,   512,   1008,  1024,  1040,  2048,
                                    4080, 4096, 4112, 8192, 16384, 32768, 49152, 65520, 65536, 65552, 98304,
                                    131072 };
  for (int key_length = 16; key_length <= 32; key_length += 8) {
    struct transformation t;
    transformation_open(&t, worker, key_length);
    int op = operation_open(&t);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths && lengths[i] <= options.max; i++) {
      for (int decrypt = 0; decrypt < 2; decrypt++) {
        struct request request = { .phase = "grid", .decrypt = decrypt, .length = lengths[i] };
        fill(worker, request.iv, 16);
        check(worker, &t, &op, &request);
      }
    }
    close(op);
    close(t.socket);
  }
}

static void phase_ivs(struct worker *worker) {
  for (int key_length = 16; key_length <= 32; key_length += 8) {
    struct transformation t;
    transformation_open(&t, worker, key_length);
    int op = operation_open(&t);
    for (int kind = 0; kind < 16; kind++) {
      struct request request = { .phase = "ivs", .decrypt = kind & 1, .length = kind & 2 ? 16 : 48 };
      memset(request.iv, kind & 4 ? 0xff : 0, 16);
      if (kind & 8) request.iv[kind & 4 ? 0 : 15] ^= 0x80;
      check(worker, &t, &op, &request);
    }
    close(op);
    close(t.socket);
  }
}

/* Every way to send with every way to receive. In-place needs the source's own pages in the request: splicing. */
static void phase_shapes(struct worker *worker) {
  const size_t bounds[] = { 64, 4096, 65536 < options.max ? 65536 : options.max };
  for (int key_length = 16; key_length <= 32; key_length += 8) {
    struct transformation t;
    transformation_open(&t, worker, key_length);
    int op = operation_open(&t);
    for (int shape = 0; shape < SENDINGS * RECEIVINGS; shape++) {
      enum sending sending = shape / RECEIVINGS;
      enum receiving receiving = shape % RECEIVINGS;
      if (receiving == RECEIVE_IN_PLACE && sending != SEND_SPLICE) continue;
      if (receiving == RECEIVE_PARTS && !options.parts) continue;
      for (int round = 0; round < 8; round++) {
        if (round == 7 && key_length != 16 + shape % 3 * 8) continue; /* The largest ones once, not per key. */
        struct request request = random_request(worker, "shapes", bounds[round / 2 % 3]);
        if (round >= 6) request.length = round == 7 ? options.max : 16;
        request.decrypt = round & 1;
        request.sending = sending;
        request.receiving = receiving;
        check(worker, &t, &op, &request);
      }
    }
    close(op);
    close(t.socket);
  }
}

/* Many keys alive at once, used in any order and now and then replaced. */
static void phase_sessions(struct worker *worker) {
  enum { LIVE = 48 };
  struct transformation t[LIVE];
  int op[LIVE];
  for (int i = 0; i < LIVE; i++) {
    transformation_open(&t[i], worker, 16 + 8 * (i % 3));
    op[i] = operation_open(&t[i]);
  }
  for (int round = 0; round < 3 * LIVE; round++) {
    size_t i = below(worker, LIVE);
    if (round % 5 == 4) {
      /* Replacing a key while a socket uses it is refused (EBUSY), so the socket is closed first. */
      close(op[i]);
      set_key(&t[i], worker, 16 + 8 * (int)below(worker, 3));
      op[i] = operation_open(&t[i]);
    }
    struct request request = random_request(worker, "sessions", 1024);
    check(worker, &t[i], &op[i], &request);
  }
  for (int i = 0; i < LIVE; i++) {
    close(op[i]);
    close(t[i].socket);
  }
}

/* A length that is no multiple of the block is refused, and the next request is served as if nothing had happened. */
static void phase_refusals(struct worker *worker) {
  static const size_t lengths[] = { 1, 15, 17, 4095 };
  struct transformation t;
  transformation_open(&t, worker, 16);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    struct request request = { .phase = "refusals", .decrypt = i & 1, .length = lengths[i] };
    struct layout layout;
    int op = operation_open(&t);
    whole(&layout, worker->source, 0, lengths[i]);
    int error = send_request(worker, op, &request, &layout);
    if (error == 0) error = receive_answer(op, &request, &layout);
    atomic_fetch_add(&checks, 1);
    if (error != -EINVAL) report(&request, 16, error == 0 ? "served instead of refused" : strerror(-error));
    close(op);
    op = operation_open(&t);
    request.length = 64;
    check(worker, &t, &op, &request);
    close(op);
  }
  close(t.socket);
}

static struct transformation shared;

static void *thread_main(void *argument) {
  struct worker *worker = argument;
  struct transformation own;
  transformation_open(&own, worker, 16 + 8 * (int)below(worker, 3));
  int op[2] = { operation_open(&own), operation_open(&shared) };
  for (int i = 0; i < 250; i++) {
    struct request request = random_request(worker, "threads", i % 10 == 0 ? options.max : 2048);
    check(worker, i & 1 ? &shared : &own, &op[i & 1], &request);
  }
  close(op[0]);
  close(op[1]);
  close(own.socket);
  return NULL;
}

/* Threads at once: half of each one's requests under a key of its own, half under a key that all share. */
static void phase_threads(struct worker *worker) {
  static struct worker workers[THREADS_MAX];
  pthread_t threads[THREADS_MAX];
  transformation_open(&shared, worker, 32);
  for (int i = 0; i < options.threads; i++) {
    worker_open(&workers[i], next_random(worker));
    if (pthread_create(&threads[i], NULL, thread_main, &workers[i]) != 0) die("pthread_create");
  }
  for (int i = 0; i < options.threads; i++) pthread_join(threads[i], NULL);
  close(shared.socket);
}

/* A request that the device never answers cannot be interrupted, so the guest is switched off to say so at once. */
static void *watchdog_main(void *argument) {
  int seen = -1, idle_s = 0;
  (void)argument;
  for (;;) {
    sleep(1);
    idle_s = checks == seen ? idle_s + 1 : 0;
    seen = checks;
    if (idle_s < options.stall_s) continue;
    print_request("STUCK", &last_request);
    printf("no answer in %d s after %d checks\n", idle_s, seen);
    fflush(stdout);
    sleep(1);
    reboot(RB_POWER_OFF);
  }
  return NULL;
}

static long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_phase(const char *name, void (*phase)(struct worker *), struct worker *worker) {
  int checks_before = checks, failures_before = failures;
  long start = milliseconds();
  phase(worker);
  printf("PHASE %s checks=%d failed=%d ms=%ld\n", name, checks - checks_before, failures - failures_before,
         milliseconds() - start);
  fflush(stdout);
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *value = strchr(argv[i], '=');
    size_t length = value ? (size_t)(value++ - argv[i]) : 0;
#define IS(name) (length == strlen(name) && memcmp(argv[i], name, length) == 0)
    if (IS("--driver")) options.driver = value;
    else if (IS("--threads")) options.threads = atoi(value);
    else if (IS("--pieces")) options.pieces = atoi(value);
    else if (IS("--parts")) options.parts = atoi(value);
    else if (IS("--max")) options.max = strtoul(value, NULL, 0);
    else if (IS("--seed")) options.seed = strtoull(value, NULL, 0);
    else if (IS("--corrupt")) options.corrupt = atoi(value);
    else if (IS("--stall-s")) options.stall_s = atoi(value);
    else errno = EINVAL, die(argv[i]);
#undef IS
  }
  if (options.threads < 1 || options.threads > THREADS_MAX || options.pieces < 1 || options.pieces > PIECES_MAX ||
      options.max < 64 || options.max > 196608 || options.max % 16 != 0) {
    errno = EINVAL;
    die("--threads, --pieces or --max");
  }
}

int main(int argc, char **argv) {
  struct worker worker;
  pthread_t watchdog;
  read_options(argc, argv);
  aes_prepare();
  if (!aes_oracle_is_sound()) errno = EILSEQ, die("the AES oracle contradicts FIPS 197");
  if (pthread_create(&watchdog, NULL, watchdog_main, NULL) != 0) die("pthread_create");
  worker_open(&worker, options.seed);
  run_phase("grid", phase_grid, &worker);
  run_phase("ivs", phase_ivs, &worker);
  run_phase("shapes", phase_shapes, &worker);
  run_phase("sessions", phase_sessions, &worker);
  run_phase("refusals", phase_refusals, &worker);
  run_phase("threads", phase_threads, &worker);
  printf("CHECKS %d FAILED %d\n", checks, failures);
  return failures != 0;
}
