//! Films in other scripts than Latin: found by a part of the title, and by its beginning.

use super::common::Films;

const CYRILLIC: &str = "Броненосец Потёмкин|Летят журавли|Баллада о солдате|Иваново детство|Андрей Рублёв|Солярис|Зеркало|Сталкер|Ностальгия|Жертвоприношение|Иди и смотри|Восхождение|Война и мир|Судьба человека|Москва слезам не верит|Ирония судьбы, или С лёгким паром!|Бриллиантовая рука|Кавказская пленница|Операция «Ы» и другие приключения Шурика|Иван Васильевич меняет профессию|Служебный роман|Осенний марафон|Белое солнце пустыни|Джентльмены удачи|Двенадцать стульев|Золотой телёнок|Гараж|Берегись автомобиля|Курьер|Асса|Брат|Брат 2|Сибирский цирюльник|Утомлённые солнцем|Возвращение|Изгнание|Елена|Левиафан|Нелюбовь|Ночной дозор|Дневной дозор|Русский ковчег|Фауст|Александр Невский|Иван Грозный|Человек с киноаппаратом|Октябрь|Земля|Кубанские казаки|Весёлые ребята|Цирк|Волга-Волга";
const GREEK: &str = "Αλέξης Ζορμπάς|Το βλέμμα του Οδυσσέα|Μια αιωνιότητα και μια μέρα|Ο Θίασος|Τοπίο στην ομίχλη|Ταξίδι στα Κύθηρα|Ο Μελισσοκόμος|Οι κυνηγοί|Ο Μεγαλέξανδρος|Αναπαράσταση|Το λιβάδι που δακρύζει|Η σκόνη του χρόνου|Κυνόδοντας|Άλπεις|Ο αστακός|Στέλλα|Το κορίτσι με τα μαύρα|Ηλέκτρα|Ιφιγένεια|Τρωάδες|Μαγική πόλις|Ο δράκος|Πολίτικη κουζίνα|Νύφες|Ευδοκία|Το προξενιό της Άννας|Λούφα και παραλλαγή|Η δε γυνή να φοβήται τον άνδρα|Ποτέ την Κυριακή|Φαίδρα|Κάλπικη λίρα|Ο μπακαλόγατος|Η Αλίκη στο Ναυτικό|Υπολοχαγός Νατάσσα|Δεσποινίς διευθυντής|Κορίτσια για φίλημα|Ρεμπέτικο|Πέτρινα χρόνια|Μικρά Αγγλία|Το μικρό ψάρι|Χώμα και νερό|Σπιρτόκουτο|Μαχαιροβγάλτης|Στρέλλα|Η αιώνια επιστροφή|Γλυκιά συμμορία|Τα παιδιά του Πειραιά|Οι απάχηδες των Αθηνών|Ορατότης μηδέν|Τζένη Τζένη";
const ARABIC: &str = "باب الحديد|المومياء|الأرض|العصفور|الناصر صلاح الدين|دعاء الكروان|القاهرة 30|شيء من الخوف|الزوجة الثانية|بداية ونهاية|اللص والكلاب|ميرامار|ثرثرة فوق النيل|الكرنك|الكيت كات|سواق الأتوبيس|الحريف|البريء|زوجة رجل مهم|أحلام هند وكاميليا|إسكندرية ليه|حدوتة مصرية|المصير|المهاجر|عمارة يعقوبيان|الفيل الأزرق|كفر ناحوم|سكر بنات|وهلأ لوين|ذيب|عمر|الجنة الآن|يد إلهية|عرس الجليل|صمت القصور|عصفور السطح|وقائع سنين الجمر|معركة الجزائر|الرسالة|عمر المختار|وجدة|بركة يقابل بركة|الإرهاب والكباب|المنسي|طيور الظلام|النوم في العسل|أرض الخوف|داود عبد السيد|رسائل البحر|سهر الليالي|في شقة مصر الجديدة";
const CJK: &str = "千と千尋の神隠し|七人の侍|羅生門|東京物語|もののけ姫|となりのトトロ|風の谷のナウシカ|天空の城ラピュタ|魔女の宅急便|紅の豚|ハウルの動く城|崖の上のポニョ|風立ちぬ|火垂るの墓|君の名は。|天気の子|万引き家族|誰も知らない|そして父になる|海街diary|ドライブ・マイ・カー|おくりびと|生きる|用心棒|椿三十郎|蜘蛛巣城|影武者|乱|夢|晩春|麦秋|秋刀魚の味|雨月物語|西鶴一代女|山椒大夫|砂の女|切腹|ゴジラ|バトル・ロワイアル|攻殻機動隊|霸王别姬|花样年华|重庆森林|春光乍泄|卧虎藏龙|英雄|十面埋伏|活着|红高粱|大红灯笼高高挂|悲情城市|一一|饮食男女|无间道|功夫|少林足球|让子弹飞|霸王之路|流浪地球|我不是药神|기생충|올드보이|살인의 추억|괴물|마더|설국열차|옥자|아가씨|박쥐|친절한 금자씨|복수는 나의 것|공동경비구역 JSA|봄 여름 가을 겨울 그리고 봄|빈집|피에타|시|밀양|버닝|부산행|곡성|추격자|황해|태극기 휘날리며|실미도|왕의 남자|명량|신과함께|국제시장|베테랑|택시운전사|헤어질 결심|브로커";

/// Returns how many titles are among the first ten for the query made of each, in percent; prints the rest.
fn found(script: &'static str, query: impl Fn(&str) -> String) -> usize {
    let titles: Vec<&'static str> = script.split('|').collect();
    let films = Films::new(&titles);
    let missed = titles.iter().filter(|title| {
        let typed = query(title);
        let hits = films.search(&typed);
        let is_missed = !hits.iter().take(10).any(|hit| hit == *title);
        if is_missed {
            println!("{typed:?} wanted {title:?} got {hits:?}");
        }
        is_missed
    });
    100 - 100 * missed.count() / titles.len()
}

/// The last half of a title written without spaces, or its longest word.
fn part(title: &str) -> String {
    if title.contains(' ') {
        return title.split(' ').max_by_key(|word| word.chars().count()).unwrap_or(title).to_owned();
    }
    let chars: Vec<char> = title.chars().collect();
    chars[chars.len() / 2..].iter().collect()
}

#[test]
fn titles_are_found_by_their_own_script() {
    for (name, script, is_segmented) in [
        ("Cyrillic", CYRILLIC, false),
        ("Greek", GREEK, false),
        ("Arabic", ARABIC, false),
        ("CJK", CJK, true),
    ] {
        let whole = found(script, str::to_owned);
        let upper = found(script, str::to_uppercase);
        let beginning = found(script, |title| {
            let chars: Vec<char> = title.chars().collect();
            chars[..(chars.len() * 3).div_ceil(4)].iter().collect()
        });
        // A part of a word is its beginning; of a text without spaces, any.
        let part =
            found(
                script,
                |title| {
                    if is_segmented || title.contains(' ') { part(title) } else { title.to_owned() }
                },
            );
        println!(
            "{name}: S@10 whole {whole} %, upper case {upper} %, three quarters {beginning} %, part {part} %"
        );
        assert_eq!((whole, upper), (100, 100), "{name}");
        assert!(beginning >= 98 && part >= 98, "{name} {beginning} {part}");
    }
}

#[test]
fn folds_marks_and_final_letters() {
    for (script, query, title) in [
        (CYRILLIC, "броненосец потемкин", "Броненосец Потёмкин"),
        (CYRILLIC, "белое сонлце пустыни", "Белое солнце пустыни"),
        (CYRILLIC, "сталкр", "Сталкер"),
        (GREEK, "αλεξης ζορμπας", "Αλέξης Ζορμπάς"),
        (GREEK, "ΖΟΡΜΠΑΣ", "Αλέξης Ζορμπάς"),
        (ARABIC, "مصير", "المصير"),
        (ARABIC, "الاسكندرية ليه", "إسكندرية ليه"),
        (CJK, "千尋", "千と千尋の神隠し"),
        (CJK, "となりのととろ", "となりのトトロ"),
        (CJK, "기새", "기생충"),
    ] {
        let titles: Vec<&'static str> = script.split('|').collect();
        let films = Films::new(&titles);
        assert!(films.search(query).contains(&title), "{query} {:?}", films.search(query));
    }
}
