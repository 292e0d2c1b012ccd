/**
 * Numbers and layouts of the vhost-user protocol (QEMU's interop document). Offsets are in bytes; fields are in the
 * machine's byte order, which is little-endian on all architectures that this program supports.
 *
 * @module
 */

/** Message header: request u32, flags u32, size u32; the payload follows. */
export const HEADER_BYTES = 12;
export const FLAG_VERSION_MASK = 3;
export const FLAG_VERSION = 1;
export const FLAG_REPLY = 4;
export const FLAG_NEED_REPLY = 8;

/** Requests of the frontend. */
export const GET_FEATURES = 1;
export const SET_FEATURES = 2;
export const SET_OWNER = 3;
export const RESET_OWNER = 4;
export const SET_MEM_TABLE = 5;
export const SET_LOG_BASE = 6;
export const SET_LOG_FD = 7;
export const SET_VRING_NUM = 8;
export const SET_VRING_ADDR = 9;
export const SET_VRING_BASE = 10;
export const GET_VRING_BASE = 11;
export const SET_VRING_KICK = 12;
export const SET_VRING_CALL = 13;
export const SET_VRING_ERR = 14;
export const GET_PROTOCOL_FEATURES = 15;
export const SET_PROTOCOL_FEATURES = 16;
export const GET_QUEUE_NUM = 17;
export const SET_VRING_ENABLE = 18;
export const SET_BACKEND_REQ_FD = 21;
export const IOTLB_MSG = 22;
export const GET_CONFIG = 24;
export const SET_CONFIG = 25;
export const CREATE_CRYPTO_SESSION = 26;
export const CLOSE_CRYPTO_SESSION = 27;
export const GET_INFLIGHT_FD = 31;
export const SET_INFLIGHT_FD = 32;
export const RESET_DEVICE = 34;
export const GET_MAX_MEM_SLOTS = 36;
export const ADD_MEM_REG = 37;
export const REM_MEM_REG = 38;
export const SET_STATUS = 39;
export const GET_STATUS = 40;
export const SET_DEVICE_STATE_FD = 42;
export const CHECK_DEVICE_STATE = 43;

/** The virtio feature bits that request dirty logging and that announce protocol features. */
export const F_LOG_ALL = 26;
export const F_PROTOCOL_FEATURES = 30;

/** Protocol feature bit numbers. */
export const PROTOCOL_F_MQ = 0;
export const PROTOCOL_F_LOG_SHMFD = 1;
export const PROTOCOL_F_REPLY_ACK = 3;
export const PROTOCOL_F_BACKEND_REQ = 5;
export const PROTOCOL_F_CRYPTO_SESSION = 7;
export const PROTOCOL_F_CONFIG = 9;
export const PROTOCOL_F_INFLIGHT_SHMFD = 12;
export const PROTOCOL_F_RESET_DEVICE = 13;
export const PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15;
export const PROTOCOL_F_STATUS = 16;
export const PROTOCOL_F_DEVICE_STATE = 19;

/** A memory region: guest_addr, size, user_addr, mmap_offset, u64 each. SET_MEM_TABLE has 8 bytes before the first. */
export const REGION_BYTES = 32;
export const MEM_TABLE_HEADER_BYTES = 8;
export const MEM_TABLE_REGIONS_MAX = 8;
export const REGION_GUEST_ADDRESS_OFFSET = 0;
export const REGION_SIZE_OFFSET = 8;
export const REGION_USER_ADDRESS_OFFSET = 16;
export const REGION_MMAP_OFFSET_OFFSET = 24;
/** ADD_MEM_REG and REM_MEM_REG: 8 bytes of padding, then a region. */
export const MEM_REG_HEADER_BYTES = 8;

/** `struct vhost_vring_state`: index u32, num u32. */
export const VRING_STATE_BYTES = 8;
/** `struct vhost_vring_addr`: index u32, flags u32, then descriptor, used, available and log addresses, u64 each. */
export const VRING_ADDR_BYTES = 40;
export const VRING_ADDR_FLAGS_OFFSET = 4;
export const VRING_ADDR_DESC_OFFSET = 8;
export const VRING_ADDR_USED_OFFSET = 16;
export const VRING_ADDR_AVAIL_OFFSET = 24;
export const VRING_ADDR_LOG_OFFSET = 32;

/** SET_VRING_KICK, CALL and ERR: the ring's index, and the bit that is set if the message carries no descriptor. */
export const VRING_INDEX_MASK = 0xff;
export const VRING_NOFD = 1 << 8;

/** GET_INFLIGHT_FD and SET_INFLIGHT_FD: mmap_size u64, mmap_offset u64, num_queues u16, queue_size u16. */
export const INFLIGHT_MMAP_SIZE_OFFSET = 0;
export const INFLIGHT_MMAP_OFFSET_OFFSET = 8;
export const INFLIGHT_NUM_QUEUES_OFFSET = 16;
export const INFLIGHT_QUEUE_SIZE_OFFSET = 18;

/**
 * SET_DEVICE_STATE_FD: direction u32 (save or load), phase u32, of which there is one: all rings are stopped. The reply
 * says with a bit that the backend offers no descriptor of its own.
 */
export const DEVICE_STATE_PHASE_OFFSET = 4;
export const DEVICE_STATE_SAVE = 0;
export const DEVICE_STATE_LOAD = 1;
export const DEVICE_STATE_STOPPED = 0;
export const DEVICE_STATE_NO_FD = 1 << 8;

/** GET_CONFIG and SET_CONFIG: offset u32, size u32, flags u32, then the bytes. */
export const CONFIG_HEADER_BYTES = 12;
export const CONFIG_BYTES_MAX = 256;
export const CONFIG_FLAG_MIGRATION = 1;

/**
 * CREATE_CRYPTO_SESSION has three layouts, and no feature bit distinguishes them. The two older ones are 632 bytes long
 * and differ in whether an op_code follows the session id; the newest starts with the op_code and ends with the id.
 */
export const SESSION_BYTES_OLD = 632;
export const SESSION_BYTES_NEW = 1072;
export const SESSION_CIPHER_KEY_OFFSET = 56;
export const SESSION_CIPHER_KEY_BYTES_MAX = 64;
export const SESSION_AUTH_KEY_OFFSET = 120;
export const SESSION_AUTH_KEY_BYTES_MAX = 512;
export const SESSION_NEW_ID_OFFSET = 1064;
/** The newest layout's asymmetric form. */
export const SESSION_ASYM_ALGO_OFFSET = 8;
export const SESSION_ASYM_KEY_TYPE_OFFSET = 12;
export const SESSION_ASYM_KEY_LEN_OFFSET = 16;
export const SESSION_ASYM_PARA_OFFSET = 32;
export const SESSION_ASYM_KEY_OFFSET = 40;
export const SESSION_ASYM_KEY_BYTES_MAX = 1024;

/** The longest payload that is read: longer than any known one, so that a longer one can be refused, not truncated. */
export const PAYLOAD_BYTES_MAX = 4096;

/** Descriptors that a message may carry: one for each region. */
export const FDS_MAX = 8;
