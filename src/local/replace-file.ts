// Files that a running mesh keeps: whole, or not there. What the operating system refuses is an error that names the file.
import { renameSync, rmSync, writeFileSync, type WriteFileOptions } from 'node:fs'
import { dirname, basename, join } from 'node:path'
import { KithError, systemRefusal } from '#lib/errors.ts'

/** Readers see the old text or the new one. @throws KithError with the system's code, such as ENOSPC */
export function replaceFile(path: string, text: string): void {
  const aside = join(dirname(path), `.${basename(path)}.new`)
  writeFile(aside, text)
  renameSync(aside, path)
}

/**
 * A file that could not be written whole is not left behind.
 *
 * @throws KithError with the system's code, such as ENOSPC; EEXIST as the system says it
 */
export function writeFile(path: string, text: string, options?: WriteFileOptions): void {
  try {
    writeFileSync(path, text, options)
  } catch (cause) {
    const refused = systemRefusal(cause)
    if (refused === undefined || refused.code === 'EEXIST') throw cause
    rmSync(path, { force: true })
    const message = refused.message.includes(path) ? refused.message : refused.message.replace(/^can't \w+/, `can't write ${path}`)
    throw new KithError(refused.code, message, { cause })
  }
}
