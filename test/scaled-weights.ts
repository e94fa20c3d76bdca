import { copyFile, open } from 'node:fs/promises';
import { readGgufFileInfo } from 'node-llama-cpp';

const FLOAT32 = 0;

/**
 * Copies a GGUF file with every float32 tensor whose name matches multiplied by `factor`: a model of the same architecture
 * that answers otherwise, the same each time. Throws when nothing matches.
 */
export async function writeScaledWeights(source: string, path: string, names: RegExp, factor: number): Promise<void> {
  const { fullTensorInfo = [] } = await readGgufFileInfo(source);
  const chosen = fullTensorInfo.filter(({ ggmlType, name }) => names.test(name) && ggmlType === FLOAT32);
  if (chosen.length === 0) throw new Error(`no float32 tensor of ${source} is called ${names}`);
  await copyFile(source, path);
  const file = await open(path, 'r+');
  for (const { dimensions, fileOffset } of chosen) {
    const values = new Float32Array(dimensions.reduce<number>((product, one) => product * Number(one), 1));
    const bytes = Buffer.from(values.buffer);
    await file.read(bytes, 0, bytes.length, Number(fileOffset));
    for (let i = 0; i < values.length; i += 1) values[i] = (values[i] as number) * factor;
    await file.write(bytes, 0, bytes.length, Number(fileOffset));
  }
  await file.close();
}
