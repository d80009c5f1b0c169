// Bytes that come in pieces and are read as one run. Law: a byte is copied a bounded number of times, however small the pieces are.

const firstBytes = 512

export class Gather {
  /** Memory of its own, with room behind what is held; undefined: what is held lies where it came. */
  #store: Buffer | undefined
  #bytes: Buffer | undefined
  /** How many bytes a reader has looked through in vain: it goes on behind them. */
  seen = 0

  /** What is held; undefined: nothing. */
  get bytes(): Buffer | undefined {
    return this.#bytes
  }

  get length(): number {
    return this.#bytes === undefined ? 0 : this.#bytes.length
  }

  /** One more piece behind the others. A piece is not copied before another follows it. */
  append(piece: Buffer): Buffer {
    const held = this.#bytes
    if (held === undefined) return (this.#bytes = piece)
    const length = held.length + piece.length
    if (this.#store === undefined || length > this.#store.length) {
      this.#store = Buffer.allocUnsafeSlow(Math.max(firstBytes, 2 * length))
      held.copy(this.#store)
    }
    piece.copy(this.#store, held.length)
    return (this.#bytes = this.#store.subarray(0, length))
  }

  /** What is held from here on, in place of what was. */
  keep(bytes: Buffer): void {
    this.#store = undefined
    this.#bytes = bytes
    this.seen = 0
  }

  clear(): void {
    this.#store = this.#bytes = undefined
    this.seen = 0
  }
}
