// What a story is: a title and what happens, on one cluster, in the order of stories.ts. A story leaves behind what the next one needs, and nothing else.
export interface Story {
  readonly title: string
  /** Lines for people: tables and figures. */
  run(say: (text: string) => void): Promise<void>
}
