using System.Text;
using System.Text.Json;

namespace IotHub.Functions.Hosting;

/// <summary>Writes one folder per function, with its function.json, into an app root.</summary>
public static class FunctionFolders
{
    private const string FileName = "function.json";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, NewLine = "\n" };

    /// <summary>The folders of <paramref name="functions"/> and no others: one of a renamed function would still be loaded.</summary>
    public static void Write(string root, IReadOnlyList<FunctionDefinition> functions)
    {
        Directory.CreateDirectory(root);
        foreach (var function in functions)
        {
            var folder = Directory.CreateDirectory(Path.Combine(root, function.Name));
            WriteIfDifferent(Path.Combine(folder.FullName, FileName), function.FunctionJson().ToJsonString(Indented) + "\n");
        }
        foreach (var folder in Directory.EnumerateDirectories(root))
        {
            if (File.Exists(Path.Combine(folder, FileName)) && functions.All(function => function.Name != Path.GetFileName(folder)))
            {
                File.Delete(Path.Combine(folder, FileName));
                if (!Directory.EnumerateFileSystemEntries(folder).Any())
                {
                    Directory.Delete(folder);
                }
            }
        }
    }

    // A changed file time restarts a host that watches the folder; and a reader never sees half a file.
    private static void WriteIfDifferent(string path, string text)
    {
        if (File.Exists(path) && File.ReadAllText(path) == text)
        {
            return;
        }
        var unfinished = path + "." + Environment.ProcessId;
        File.WriteAllText(unfinished, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        File.Move(unfinished, path, overwrite: true);
    }
}
