/**
 * Runs in the page: texts whose contrast with their background is below 4.5, or below 3 if large or
 * a sign (a mask).
 */
export function measureContrast(): { poor: string[]; seen: number } {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
  /** Colours painted over each other; any CSS notation and opacity. */
  const paint = (colors: string[]) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = (rgb: number[]) => {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor: string[] = [];
  let seen = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement!;
    const isSign = element.classList.contains("masked"); // WCAG 1.4.11: a graphical object
    const { visibility } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!texts.currentNode.textContent!.trim() || visibility === "hidden") continue;
    if (box.width === 0 || box.height === 0) continue;
    const backgrounds: string[] = [];
    for (let node: Element | null = element; node; node = node.parentElement) {
      backgrounds.unshift(getComputedStyle(node).backgroundColor);
    }
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [luminance(paint([...backgrounds, color])), luminance(paint(backgrounds))]
      .sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = isSign || size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    seen++;
    if (ratio < (large ? 3 : 4.5)) {
      poor.push(
        `${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${element.textContent}`,
      );
    }
  }
  return { poor: [...new Set(poor)], seen };
}
