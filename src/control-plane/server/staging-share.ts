// How several control planes take the steps of a change of authority together: what a staged authority asks of the place where they meet.
import type { Authority, Stand, Staging } from '#ca'

/** One step, as it was decided for all. */
export interface Turn {
  readonly number: number
  readonly staging: Staging
  /** Every replica has taken it up. */
  readonly open: boolean
  /** False: made here, and not told to the others yet. */
  readonly written: boolean
}

export interface Share {
  /** Where the others stand, seen from what is put in place now; undefined: nobody wrote anything yet. */
  begin(first: Authority, former: Authority | undefined): Turn | undefined
  /** It decides. */
  leads(): boolean
  /** False: another was quicker, or what it wrote is not taken up here yet. */
  write(next: Turn): Promise<boolean>
  /** This replica stands so; told to the others in time. */
  stand(turn: number, how: Stand): void
  /** Every other replica that is there stands so, or further. */
  all(turn: number, how: Stand): boolean
  /** What another decided, once it can be carried out here. */
  follow(listener: (next: Turn) => void): void
  /** What is put in place now. */
  offer(authority: Authority): void
  close(): Promise<void>
}
