// What standard output is: how wide, and whether it shows colours (NO_COLOR, TERM=dumb and FORCE_COLOR are Node's to read).
import { styleText } from 'node:util'
import type { WriteStream } from 'node:tty'

/** Of a terminal its columns, where it knows them: some say 0. Nothing of a pipe. */
export function textOptions(stream: Pick<WriteStream, 'isTTY' | 'columns'> = process.stdout): { readonly colour: boolean; readonly width?: number } {
  return { colour: showsColours(), ...(stream.isTTY && stream.columns > 0 ? { width: Math.max(stream.columns, narrowest) } : {}) }
}

/** Narrower than this, words stand one below the other. */
const narrowest = 40

export function showsColours(): boolean {
  return styleText('red', ' ', { stream: process.stdout }) !== ' '
}
