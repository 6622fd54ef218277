// Claims: each is a sentence and a function that throws where the sentence is wrong. A report at the end tells which were kept.

const kept = [];
const broken = [];

/** Tries a claim. One that is broken doesn't keep the others from being tried. */
export async function claim(sentence, prove) {
  const began = performance.now();
  try {
    await prove();
    kept.push({ claim: sentence, ms: Math.round(performance.now() - began) });
  } catch (error) {
    broken.push(sentence);
    console.error(`✗ ${sentence}\n${error.stack}\n`);
  }
}

/** Writes the report and ends the script. */
export function report() {
  const line = JSON.stringify({ kept, broken });
  process.stdout.write(`${line}\n`, () => process.exit(broken.length === 0 ? 0 : 1));
}
