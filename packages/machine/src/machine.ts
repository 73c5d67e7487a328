/** The contract with adapters of hypervisors. It stands in core, so that the testkit can hold them to it. */
export type {
  Acceleration,
  Hypervisor,
  HypervisorCapabilities,
  Machine,
  MachineSpec,
  Medium,
  Start,
  StopReason,
} from '@polyvisor/core';
