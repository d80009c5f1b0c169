// What the commands that answer and end are asked once, ahead: about the examples, so that V8 has compiled what answering takes.
const mesh = 'examples/walkthrough/mesh.yaml'

/** The first to load a file decides what is kept of it: the ones that are asked most come first. */
export const questions: readonly (readonly string[])[] = [
  ['explain', 'sleep.foo', 'http://httpbin.bar:8000/get', '-f', 'examples/walkthrough'],
  ['explain', 'sleep.foo', 'http://httpbin.bar:8000/get', '-f', mesh, '-o', 'json'],
  ['kube-inject', '-f', mesh],
  ['analyze', '--use-kube=false', 'examples/walkthrough'],
  ['validate', '-f', 'examples/walkthrough'],
  ['describe', 'pod', 'httpbin.foo', '-f', mesh],
  ['check-inject', '-f', mesh],
]
