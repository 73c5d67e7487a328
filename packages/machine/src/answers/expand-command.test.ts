import { describe, expect, it } from 'vitest';
import { expandCommand } from './expand-command.js';

const where = { file: '/d/appliance.yaml', line: 3, column: 10 };
const values = {
  answers: 'http://10.0.2.2:8123/5ecret',
  'answers-host': '10.0.2.2',
  'answers-port': '8123',
  name: 'box',
  'ssh-key': 'ssh-ed25519 AAAA+/= me',
  own: '%IP%',
};
const expand = (text: string) => expandCommand(text, values, where);

describe('expandCommand', () => {
  it("reads veewee's marks and leaves every other per cent sign", () => {
    expect(expand('ks=%IP% port=%PORT% %NAME% 50% %ip% %% %FOO%')).toBe('ks=10.0.2.2 port=8123 box 50% %ip% %% %FOO%');
  });

  it("reads Packer's marks", () => {
    expect(expand('{{ .HTTPIP }} {{.HTTPPort}} {{- .Name -}} {{ .SSHPublicKey | urlquery }}')).toBe(
      '10.0.2.2 8123 box ssh-ed25519+AAAA%2B%2F%3D+me',
    );
    expect(expand('{{ .SSHPublicKey }} {{ {} }} }}')).toBe('ssh-ed25519 AAAA+/= me {{ {} }} }}');
  });

  it('leads addresses that were written for servers without a secret to where the answers are', () => {
    expect(expand('url=http://%IP%:%PORT%/preseed.cfg')).toBe('url=http://10.0.2.2:8123/5ecret/preseed.cfg');
    expect(expand('ds=nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/')).toBe(
      'ds=nocloud-net;s=http://10.0.2.2:8123/5ecret/',
    );
    expect(expand('<%= answers %>/preseed.cfg')).toBe('http://10.0.2.2:8123/5ecret/preseed.cfg');
    expect(expand('<%= answers-port %>/x')).toBe('8123/x');
  });

  it('never searches a value again, and escapes values alone', () => {
    expect(expand('<%= own %>')).toBe('%IP%');
    expect(expandCommand('<Enter><%= own %><%%', values, where, (value) => value.replaceAll('%', '_'))).toBe(
      '<Enter>_IP_<%',
    );
  });

  it('refuses what it does not know', () => {
    const text = '{{ .HTTPPrt }} {{ user `x` }} {{ .Name | shout }} <%= %IP% %>';
    expect(() => expand(text)).toThrow(
      expect.objectContaining({
        code: 'template-invalid',
        issues: [
          expect.objectContaining({
            line: 3,
            column: 10,
            message: expect.stringContaining('did you mean "HTTPPort"?'),
          }),
          expect.objectContaining({ column: 25, message: expect.stringContaining("Packer's") }),
          expect.objectContaining({ message: expect.stringContaining('"shout"') }),
          expect.objectContaining({ message: expect.stringContaining('no name of a value') }),
        ],
      }),
    );
  });

  it('says when nothing is served', () => {
    expect(() => expandCommand('%IP%', { name: 'n' }, where)).toThrow(
      expect.objectContaining({
        issues: [expect.objectContaining({ message: expect.stringContaining('answers-host') })],
      }),
    );
  });
});
