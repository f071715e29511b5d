"""Tells malignant tumours from benign ones, and draws how well it does.

Logistic regression on standardised features, with Python's standard library alone, so that it runs wherever a Python 3
does. It reads the table that `examples/data/README.md` describes, trains on 70 % of its rows, is judged on the rest,
and writes

  model.json    the weights, with what standardises a row
  metrics.json  accuracy, sensitivity, specificity, AUC and log loss on the held-out rows
  roc.svg       the ROC curve of the held-out rows

The positive class is `malignant`, the one that must not be missed. The seed is fixed: each run gives the same numbers.
"""

import csv
import json
import math
import os
import random
import sys
import time

SEED = 1995
HELD_OUT = 0.3
EPOCHS = 600
RATE = 0.01
MOMENTUM = 0.9
RIDGE = 0.01
THRESHOLD = 0.5

FEATURES = [
    f"{part} ({kind})"
    for kind in ("mean", "standard error", "worst")
    for part in (
        "radius", "texture", "perimeter", "area", "smoothness",
        "compactness", "concavity", "concave points", "symmetry", "fractal dimension",
    )
]


def read_table(path):
    """Rows as (features, 1.0 if malignant else 0.0)."""
    with open(path, newline="") as file:
        lines = csv.reader(file)
        count, width, *classes = next(lines)
        malignant = classes.index("malignant")
        rows = [([float(cell) for cell in line[:-1]], float(int(line[-1]) == malignant)) for line in lines]
    if len(rows) != int(count) or any(len(features) != int(width) for features, _ in rows):
        raise ValueError(f"{path}: the first line promises {count} rows of {width} features")
    return rows


def split(rows, random_source):
    """(training rows, held-out rows), with the same share of each class in both."""
    train, held_out = [], []
    for label in (0.0, 1.0):
        of_class = [row for row in rows if row[1] == label]
        random_source.shuffle(of_class)
        cut = round(len(of_class) * HELD_OUT)
        held_out += of_class[:cut]
        train += of_class[cut:]
    random_source.shuffle(train)
    return train, held_out


def moments(rows):
    """Mean and standard deviation of each feature."""
    columns = list(zip(*(features for features, _ in rows)))
    means = [sum(column) / len(column) for column in columns]
    spreads = [
        math.sqrt(sum((value - mean) ** 2 for value in column) / len(column)) or 1.0
        for column, mean in zip(columns, means)
    ]
    return means, spreads


def standardise(rows, means, spreads):
    return [([(v - m) / s for v, m, s in zip(features, means, spreads)], label) for features, label in rows]


def probability(weights, bias, features):
    score = bias + sum(map(float.__mul__, weights, features))
    score = max(-30.0, min(30.0, score))
    return 1.0 / (1.0 + math.exp(-score))


def log_loss(pairs):
    return -sum(math.log(p if label else 1.0 - p) for p, label in pairs) / len(pairs)


def train(rows):
    """Weights and bias, by gradient descent with momentum."""
    width = len(rows[0][0])
    weights, bias = [0.0] * width, 0.0
    speed, bias_speed = [0.0] * width, 0.0
    columns = list(zip(*(features for features, _ in rows)))
    labels = [label for _, label in rows]
    for epoch in range(1, EPOCHS + 1):
        predicted = [probability(weights, bias, features) for features, _ in rows]
        errors = [p - label for p, label in zip(predicted, labels)]
        for i, column in enumerate(columns):
            slope = sum(map(float.__mul__, errors, column)) / len(rows) + RIDGE * weights[i]
            speed[i] = MOMENTUM * speed[i] - RATE * slope
            weights[i] += speed[i]
        bias_speed = MOMENTUM * bias_speed - RATE * sum(errors) / len(rows)
        bias += bias_speed
        if epoch == 1 or epoch % 100 == 0:
            print(f"epoch {epoch:3d}/{EPOCHS}  training loss {log_loss(list(zip(predicted, labels))):.4f}")
    return weights, bias


def roc(pairs):
    """Points (false positive rate, true positive rate) from (0, 0) to (1, 1), equal scores taken in one step."""
    positives = sum(label for _, label in pairs)
    negatives = len(pairs) - positives
    points, hits, alarms, last = [], 0.0, 0.0, None
    for score, label in sorted(pairs, reverse=True):
        if score != last:
            points.append((alarms / negatives, hits / positives))
            last = score
        hits += label
        alarms += 1.0 - label
    points.append((1.0, 1.0))
    return points


def area_under(points):
    return sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in zip(points, points[1:]))


def measure(pairs):
    """The metrics of (probability, label) pairs, and their ROC curve."""
    counts = {"true_positives": 0, "false_negatives": 0, "true_negatives": 0, "false_positives": 0}
    for p, label in pairs:
        if label:
            counts["true_positives" if p >= THRESHOLD else "false_negatives"] += 1
        else:
            counts["false_positives" if p >= THRESHOLD else "true_negatives"] += 1
    tp, fn, tn, fp = counts.values()
    points = roc(pairs)
    metrics = {
        "held_out_rows": len(pairs),
        "accuracy": round((tp + tn) / len(pairs), 4),
        "sensitivity": round(tp / (tp + fn), 4),
        "specificity": round(tn / (tn + fp), 4),
        "auc": round(area_under(points), 4),
        "log_loss": round(log_loss(pairs), 4),
        "threshold": THRESHOLD,
        **counts,
    }
    return metrics, points


def picture(points, metrics):
    """The ROC curve as a self-contained SVG."""
    left, top, side = 78, 92, 400
    width, height = left + side + 34, top + side + 70

    def place(point):
        return f"{left + side * point[0]:.1f},{top + side * (1 - point[1]):.1f}"

    curve = " ".join(place(point) for point in points)
    here = (1.0 - metrics["specificity"], metrics["sensitivity"])
    spot = place(here).split(",")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" role="img" aria-labelledby="title">',
        f'<title id="title">ROC curve, area under it {metrics["auc"]:.3f}</title>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="38" font-size="20" font-weight="bold" fill="#1b2733">Malignant or benign?</text>',
        f'<text x="{left}" y="62" font-size="13" fill="#5b6875">ROC curve on {metrics["held_out_rows"]} held-out'
        f' rows · logistic regression</text>',
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="#f6f8fa"/>',
    ]
    for step in range(0, 11, 2):
        value = step / 10
        x, y = left + side * value, top + side * (1 - value)
        parts += [
            f'<path d="M{x:.1f} {top}V{top + side}M{left} {y:.1f}H{left + side}" stroke="#d9dfe5" fill="none"/>',
            f'<text x="{x:.1f}" y="{top + side + 20}" font-size="12" fill="#5b6875" text-anchor="middle">{value:.1f}</text>',
            f'<text x="{left - 10}" y="{y + 4:.1f}" font-size="12" fill="#5b6875" text-anchor="end">{value:.1f}</text>',
        ]
    parts += [
        f'<polygon points="{place((0, 0))} {curve} {place((1, 0))}" fill="#0b7285" fill-opacity="0.12"/>',
        f'<path d="M{place((0, 0))}L{place((1, 1))}" stroke="#8a96a3" stroke-dasharray="5 5" fill="none"/>',
        f'<text font-size="12" fill="#8a96a3" transform="translate({left + 0.60 * side:.1f} {top + 0.37 * side:.1f})'
        ' rotate(-45)">chance</text>',
        f'<polyline points="{curve}" fill="none" stroke="#0b7285" stroke-width="2.5" stroke-linejoin="round"/>',
        f'<circle cx="{spot[0]}" cy="{spot[1]}" r="5" fill="#e8590c" stroke="#ffffff" stroke-width="1.5"/>',
        f'<text x="{left + 0.12 * side:.1f}" y="{top + 0.235 * side:.1f}" font-size="12" fill="#e8590c">'
        f'at {THRESHOLD}: finds {metrics["sensitivity"]:.1%} of the malignant,</text>',
        f'<text x="{left + 0.12 * side:.1f}" y="{top + 0.235 * side + 16:.1f}" font-size="12" fill="#e8590c">'
        f'clears {metrics["specificity"]:.1%} of the benign</text>',
        f'<text x="{left + side - 14}" y="{top + side - 52}" font-size="34" font-weight="bold" fill="#0b7285"'
        f' text-anchor="end">{metrics["auc"]:.3f}</text>',
        f'<text x="{left + side - 14}" y="{top + side - 30}" font-size="13" fill="#5b6875" text-anchor="end">'
        'area under the curve</text>',
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#5b6875"/>',
        f'<text x="{left + side / 2}" y="{top + side + 48}" font-size="13" fill="#1b2733" text-anchor="middle">'
        'false positive rate</text>',
        f'<text font-size="13" fill="#1b2733" text-anchor="middle" transform="translate({left - 48} {top + side / 2})'
        ' rotate(-90)">true positive rate</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main():
    began = time.monotonic()
    # The contract with the gateway: DIDS names the datasets, each has its files under INPUTS, numbered from 0.
    dids = json.loads(os.environ["DIDS"])
    outputs = os.environ["OUTPUTS"]
    rows = read_table(os.path.join(os.environ["INPUTS"], dids[0], "0"))
    train_rows, held_out = split(rows, random.Random(SEED))
    print(f"{len(rows)} rows of {len(rows[0][0])} features: {len(train_rows)} to train on, {len(held_out)} held out")

    means, spreads = moments(train_rows)
    weights, bias = train(standardise(train_rows, means, spreads))
    pairs = [(probability(weights, bias, x), label) for x, label in standardise(held_out, means, spreads)]
    metrics, points = measure(pairs)
    metrics["training_rows"] = len(train_rows)

    names = FEATURES if len(FEATURES) == len(weights) else [f"feature {i}" for i in range(len(weights))]
    model = {
        "kind": "logistic_regression",
        "positive_class": "malignant",
        "bias": bias,
        "features": [
            {"name": name, "weight": weight, "mean": mean, "standard_deviation": spread}
            for name, weight, mean, spread in zip(names, weights, means, spreads)
        ],
    }
    for name, text in (
        ("model.json", json.dumps(model, indent=2) + "\n"),
        ("metrics.json", json.dumps(metrics, indent=2) + "\n"),
        ("roc.svg", picture(points, metrics)),
    ):
        with open(os.path.join(outputs, name), "w", encoding="utf-8") as file:
            file.write(text)
        print(f"wrote {name}")
    print(f"accuracy {metrics['accuracy']:.1%}, AUC {metrics['auc']:.4f}, in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
