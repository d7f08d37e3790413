import en from "../../src/text/en.json";
import { useTexts } from "../../src/text";

useTexts("en", en);
