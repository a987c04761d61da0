// The processes of this machine, for what hallpass starts and has to end.
import { execFileSync } from 'node:child_process';

/** The process ids of the programs that the process `pid` has started. */
export function children(pid) {
  return processes().filter(([, parent]) => parent === pid).map(([child]) => child);
}

/** Each as its id, its parent's, and its words. */
export function processes() {
  const lines = execFileSync('ps', ['-e', '-ww', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => line.trim().match(/^(\d+)\s+(\d+)\s+(.*)$/)).filter(Boolean).map(([, pid, parent, words]) => [Number(pid), Number(parent), words]);
}

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What `look` gives, once it is `wanted` or after 20 seconds. */
export async function until(look, wanted) {
  for (let step = 0; step < 400 && look() !== wanted; step += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  return look();
}
