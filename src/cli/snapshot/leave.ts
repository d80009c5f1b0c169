// Out of the snapshot: the same process, the same words, from the sources.
// Law: nobody has read or written anything yet.

/** Stands in place of all that a snapshot's commands would load later: a cluster, a mesh that runs. */
export function leave(): never {
  const [, start, ...words] = process.argv as [string, string, ...string[]]
  process.execve?.(process.execPath, [process.execPath, '--disable-warning=ExperimentalWarning', start, ...words], process.env)
  throw new Error('this Node can’t leave a start-up snapshot')
}
