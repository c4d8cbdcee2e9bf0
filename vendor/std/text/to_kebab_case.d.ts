/** The same name in kebab case: `topK` becomes `top-k`. */
export function toKebabCase(input: string): string;
