// How each feature differs between the two classes: means, spreads and Cohen's d, largest first.
// Plain Node, no package. Reads the table that examples/data/README.md describes, writes summary.json.

const fs = require("node:fs");
const path = require("node:path");

const [did] = JSON.parse(process.env.DIDS);
const lines = fs.readFileSync(path.join(process.env.INPUTS, did, "0"), "utf8").trim().split("\n");
const [count, width, ...classes] = lines[0].split(",");
const rows = lines.slice(1).map((line) => line.split(",").map(Number));
if (rows.length !== Number(count)) throw new Error(`expected ${count} rows, got ${rows.length}`);

function spread(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, standard_deviation: Math.sqrt(variance) };
}

const features = Array.from({ length: Number(width) }, (_, feature) => {
  const [first, second] = [0, 1].map((label) =>
    spread(rows.filter((row) => row.at(-1) === label).map((row) => row[feature])),
  );
  const pooled = Math.sqrt((first.standard_deviation ** 2 + second.standard_deviation ** 2) / 2);
  return { feature, [classes[0]]: first, [classes[1]]: second, cohens_d: (first.mean - second.mean) / pooled };
});
features.sort((a, b) => Math.abs(b.cohens_d) - Math.abs(a.cohens_d));

fs.writeFileSync(path.join(process.env.OUTPUTS, "summary.json"), JSON.stringify({ classes, features }, null, 2) + "\n");
console.log(`${rows.length} rows, ${features.length} features`);
console.log(`feature ${features[0].feature} tells the classes apart best (d = ${features[0].cohens_d.toFixed(2)})`);
