import { describe, expect, it } from 'vitest';
import { complaintOf, isPassing } from './complaint.js';
import { explain } from './explain.js';

const details = 'VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap';

describe('complaints of VirtualBox', () => {
  it('are the first error and its code, with progress before it', () => {
    const output = `0%...10%...VBoxManage: error: The medium is locked\n${details}\nVBoxManage: error: Context: "x" at line 1\nVBoxManage: error: another`;
    expect(complaintOf(output)).toEqual({ text: 'The medium is locked', code: 'VBOX_E_INVALID_OBJECT_STATE' });
  });

  it('are the last words of what has another form', () => {
    expect(complaintOf('0%...10%...20%\nSegmentation fault\n')).toEqual({ text: 'Segmentation fault', code: '' });
  });

  it.each([
    [`VBoxManage: error: The machine 'run' is already locked for a session (or being unlocked)\n${details}`, true],
    [`VBoxManage: error: The machine 'run' already has a lock request pending\n${details}`, true],
    ['VBoxManage: error: The object is not ready\nVBoxManage: error: Details: code E_ACCESSDENIED (0x80070005)', true],
    ["VBoxManage: error: Machine 'run' is not currently running.", false],
    [`VBoxManage: error: Medium '/x' is locked for writing by another task\n${details}`, false],
  ])('pass or do not: %j', (output, passes) => {
    expect(isPassing(complaintOf(output))).toBe(passes);
  });
});

describe('reasons', () => {
  it.each([
    ['Driverless mode (VERR_SUP_DRIVERLESS)', /driver .* not loaded/],
    ['VBoxHeadless: Error -1908 in suplibOsInit!\nVBoxHeadless: Kernel driver not installed', /driver .* not loaded/],
    ['Error -1909 (VERR_VM_DRIVER_NOT_ACCESSIBLE)', /may not open/],
    ['(rc=-1912) VERR_VM_DRIVER_VERSION_MISMATCH', /another version/],
    ['VT-x is being used by another hypervisor (VERR_VMX_IN_VMX_ROOT_MODE).', /KVM/],
    ['AMD-V is being used (VERR_SVM_IN_USE)', /KVM/],
    ['VT-x is not available (VERR_VMX_NO_VMX)', /no hardware virtualisation/],
    ['VT-x is disabled in the BIOS (VERR_VMX_MSR_ALL_VMX_DISABLED)', /no hardware virtualisation/],
    ['NEM is not available. (VERR_NEM_NOT_AVAILABLE)', /own hypervisor/],
  ])('are told in words: %s', (words, reason) => {
    expect(explain(words)?.reason).toMatch(reason);
    expect(explain(words)?.hint.length).toBeGreaterThan(20);
  });

  it('are not made up', () => {
    expect(explain('Something else happened')).toBeUndefined();
  });
});
