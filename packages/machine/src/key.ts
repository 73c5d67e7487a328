export { KEY_NAMES, type Key, type KeyName } from '@polyvisor/core';
