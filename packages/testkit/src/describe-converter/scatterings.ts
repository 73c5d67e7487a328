import fc from 'fast-check';
import { type Piece, texture } from '../memory.js';

/** Disks of odd sizes with a few pieces anywhere, some of them zero. */
export function scatterings(): fc.Arbitrary<{ size: number; pieces: Piece[] }> {
  const piece = fc.record({
    gap: fc.integer({ min: 0, max: 9000 }),
    sectors: fc.integer({ min: 1, max: 700 }),
    seed: fc.integer({ min: 1, max: 1000 }),
    zero: fc.boolean(),
  });
  return fc
    .record({ pieces: fc.array(piece, { maxLength: 6 }), tail: fc.integer({ min: 1, max: 9000 }) })
    .map(({ pieces, tail }) => {
      let position = 0;
      const placed = pieces.map(({ gap, sectors, seed, zero }): Piece => {
        const offset = (position + gap) * 512;
        position += gap + sectors;
        return { offset, bytes: zero ? new Uint8Array(sectors * 512) : texture(sectors * 512, seed) };
      });
      return { size: (position + tail) * 512, pieces: placed };
    });
}
