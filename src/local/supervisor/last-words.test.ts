import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastWords } from './last-words.ts'

test('the line that says why, not the last one of the stack', () => {
  const node = ['node:events:505', "    throw er; // Unhandled 'error' event", 'Error: listen EADDRINUSE: address already in use :::8080', '    at Server.setupListenHandle [as _listen2] (node:net:2390:16)', "Emitted 'error' event on Server instance at:", '    at emitErrorNT (node:net:2478:8)', "  code: 'EADDRINUSE',", 'Node.js v26.10.0']
  for (const [lines, why] of [
    [node, 'Error: listen EADDRINUSE: address already in use :::8080'],
    [['Traceback (most recent call last):', '  File "error.py", line 1, in <module>', "ModuleNotFoundError: No module named 'flask'"], "ModuleNotFoundError: No module named 'flask'"],
    [['panic: runtime error: index out of range', '', 'goroutine 1 [running]:', 'main.main()'], 'panic: runtime error: index out of range'],
    [['bash: line 1: foo: command not found'], 'bash: line 1: foo: command not found'],
    [['going down'], undefined],
  ] as const) assert.equal(lastWords(lines), why)
})
