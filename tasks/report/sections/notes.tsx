/** The list of what is missing and what could not be read. */
import { Command } from "../markup.tsx";
import type { ReportData } from "../report_data.ts";

export function Notes({ missing, problems }: ReportData) {
  if (missing.length + problems.length === 0) return null;
  return (
    <aside class="notes" aria-label="What is missing">
      {missing.length > 0 && (
        <>
          <h2>Not here yet</h2>
          <ul>
            {missing.map(({ what, command }) => (
              <li>
                {what}: <Command text={command} />
              </li>
            ))}
          </ul>
        </>
      )}
      {problems.length > 0 && (
        <>
          <h2>Could not be read</h2>
          <ul>{problems.map((problem) => <li>{problem}</li>)}</ul>
        </>
      )}
    </aside>
  );
}
