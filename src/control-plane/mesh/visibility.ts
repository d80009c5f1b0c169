// exportTo: to which namespaces an object shows itself.

/** `exportTo` of an object in `owner`, with the mesh's default where it is empty; may `client` see it? */
export function isVisible(exportTo: readonly string[], owner: string, client: string, fallback: readonly string[]): boolean {
  const to = exportedTo(exportTo, fallback)
  if (to.includes('~') && !to.includes('*')) return false
  return to.some((t) => t === '*' || (t === '.' ? owner === client : t === client))
}

/** What is said, else what holds for those that say nothing; at last: to all. */
export function exportedTo(exportTo: readonly string[], fallback: readonly string[]): readonly string[] {
  return exportTo.length > 0 ? exportTo : fallback.length > 0 ? fallback : ['*']
}
