import { describe, expect, it } from 'vitest';
import { KeyError } from './key-error.ts';
import { writeSecret } from './key-files.ts';

describe('a key folder that cannot be written', () => {
  // Whoever runs this may be root, whom no mode stops: the kernel's own file system does.
  it('is named, with what to do', () => {
    const write = () => writeSecret('/sys/kernel/stadt.log.key', Buffer.from('secret'));
    expect(write).toThrow(KeyError);
    expect(write).toThrow(/^\/sys\/kernel\/stadt\.log\.key: .*LoadCredential=.*docs\/operations\.md/);
  });
});
