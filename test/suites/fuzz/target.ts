import type { IProperty, IAsyncProperty } from 'fast-check'

/** Something that is fed drawn input. What it promises is asserted in its property. */
export interface Target {
  readonly name: string
  /** Ready to be run; `close` is called when the last run has ended. */
  open(): Promise<{ readonly property: IProperty<unknown> | IAsyncProperty<unknown>; close(): Promise<void> }>
}
