/**
 * The number of file descriptors that a worker needs. Without them the runtime cannot start a worker and ends the process.
 *
 * @module
 */

/**
 * Of a worker, at most: two eventfds and an epoll set; what the runtime opens for a worker (Deno 2.9: an epoll set and
 * its copy, an eventfd, a socket, copies of standard output and standard error); and files while it is loaded.
 */
export const WORKER_FDS = 12;
